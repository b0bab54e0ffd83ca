"""Tables of what the activations of each neuron are like, over images or over texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import ClassVar

import numpy as np

from ...store import digest
from ...store.errors import BadSource
from ...store.grid import Grid
from ...store.views import Parts, TableView, Unit
from ..kinds import BLOCK, Derived, Made
from .neuron_state import Known, NeuronState
from .pooled import NEURONS, Pooled

AT_ONCE = 8 * BLOCK
"""Images, or texts, that are read at once."""
NUMBERS: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("mean", "std", "minimum", "maximum", "nonzero"), "float64"),
        "ties": "int64",
        "status": "string",
    }
)
"""The columns behind those that name a neuron and count its inputs: name to Arrow type."""


class Activity(Derived, TableView):
    """What the activations of each neuron are like, and whether a label of it would say anything."""

    activations: Pooled
    top_k: int
    axis: ClassVar[str] = "neuron"

    def __post_init__(self) -> None:
        """Refuse to look at nothing."""
        if self.top_k < 1:
            raise BadSource(f"top_k={self.top_k}: it is a number of {self.activations.axis}s from 1")

    @property
    def grid(self) -> Grid:
        """Blocks of 256 neurons."""
        return Grid(self.activations.shape[1], NEURONS)

    def constant(self) -> Mapping[str, str]:
        """Name the module."""
        return self.activations.constant()

    def needs(self, index: int) -> Sequence[Unit]:
        """List all activations."""
        return self.activations.units

    def contents(self, start: int, stop: int) -> str:
        """Give the digest of the neurons and of all activations."""
        return digest.of_sequence([f"{start}:{stop}", *(unit.key for unit in self.activations.units)])

    def derive(self, unit: Unit, parts: Parts) -> Made:
        """Gather the statistics of a block of neurons while the inputs stream by."""
        known = statistics(self.activations, parts, slice(unit.start, unit.stop), self.top_k)
        counted = f"{self.activations.axis}s"
        return Made(
            rows={"module": [self.activations.module] * len(known.count), **_columns(unit, known, counted)}
        )


def statistics(activations: Pooled, parts: Parts, neurons: slice, k: int) -> Known:
    """Gather the statistics of some neurons over all images, or all texts."""
    state, count = NeuronState(neurons.stop - neurons.start, k), activations.shape[0]
    for start in range(0, count, AT_ONCE):
        some = slice(start, min(start + AT_ONCE, count))
        state.add(parts.array(activations, "activation", (some, neurons)))
    return state.found()


def state_in(rows: Sequence[Mapping[str, object]], neuron: int) -> str:
    """Find in its block's statistics whether a neuron can be labelled: ok, dead, constant or tied."""
    return next(str(row["status"]) for row in rows if row["neuron"] == neuron)


def _columns(unit: Unit, known: Known, counted: str) -> dict[str, object]:
    numbers = {name: getattr(known, name) for name in ("mean", "std", "minimum", "maximum", "nonzero")}
    return {
        "neuron": np.arange(unit.start, unit.stop, dtype=np.int32),
        counted: known.count,
        **{name: [None if np.isnan(each) else float(each) for each in of] for name, of in numbers.items()},
        "ties": known.ties,
        "status": known.states,
    }
