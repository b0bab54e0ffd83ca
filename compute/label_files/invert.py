"""Labels of INVERT (Bykov et al.): a concept, or a formula of concepts, with its AUROC."""

from __future__ import annotations

from collections.abc import Iterator

from .entries import Adapter, Cells, Label, Place, check_share, number

DIGITS = 16
"""Numbers of fewer digits are exact as float64."""


def _read(place: Place, cells: Cells) -> Iterator[Label]:
    """Give the concept; `concept_id`, a WordNet offset (of a noun) or a class's number, stands beside it."""
    identity = cells["concept_id"].strip().removeprefix("n")
    more = {"concept_id": float(identity)} if identity.isdecimal() and len(identity) < DIGITS else {}
    auroc = number(cells, "metric")
    check_share("metric", auroc)
    yield Label(place, 0, cells["concept"], cells["concept"], auroc, "auroc", more=more)


ADAPTER = Adapter(
    "invert",
    1,
    "labels",
    frozenset({"neuron", "concept", "concept_id", "metric"}),
    _read,
    unit="neuron",
)
