"""Labels of neurons as rows: what the tables of all methods have in common."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        "module": "string",
        "neuron": "int32",
        "method": "string",
        "rank": "int32",
        "label": "string",
        "score": "float64",
        "score_name": "string",
        "status": "string",
    }
)
"""The columns that every table of labels begins with: name to Arrow type."""


@dataclass(frozen=True, slots=True)
class Label:
    """One label of one neuron."""

    text: str
    """What is said of it."""
    score: float | None
    """How well, by the method's own score; None where that cannot be told."""
    evidence: Mapping[str, Any] = field(default_factory=dict)
    """What the table has beside: a value for each further column."""


def rows(
    module: str,
    first: int,
    method: str,
    score_name: str,
    states: Sequence[str],
    labels: Mapping[int, Sequence[Label]],
    evidence: Sequence[str],
) -> dict[str, list[Any]]:
    """Write labels down, best first: a column for each of `COLUMNS` and for what is evidence.

    A neuron that is not ok, or of which nothing can be said, has one row whose label is null.

    Args:
        module: The module of the neurons.
        first: The number of the first one.
        method: What the labels were found by.
        score_name: What the scores are called.
        states: The state of each neuron, or what else is wrong where it has no label.
        labels: Of each neuron that is ok, counted from the first, its labels from the best down.
        evidence: The names of the further columns.
    """
    written: dict[str, list[Any]] = {name: [] for name in (*COLUMNS, *evidence)}
    for neuron, state in enumerate(states):
        for rank, label in _ranked(labels.get(neuron, ())):
            values = {
                "module": module,
                "neuron": first + neuron,
                "method": method,
                "rank": rank,
                "label": label.text if label else None,
                "score": label.score if label else None,
                "score_name": score_name,
                "status": state,
                **{name: label.evidence[name] if label else None for name in evidence},
            }
            for name, value in values.items():
                written[name].append(value)
    return written


def _ranked(labels: Sequence[Label]) -> Iterator[tuple[int, Label | None]]:
    """Number the labels from 0; where there are none, rank 0 has none."""
    return iter(enumerate(labels or (None,)))
