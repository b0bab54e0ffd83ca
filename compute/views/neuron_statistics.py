"""The view of what each neuron's activations are like, and whether it can be labelled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ...store import digest
from ...store.errors import BadSource
from ...store.grid import Grid
from ...store.views import Input, Param, Parts, TableView, Unit
from ..kinds import BLOCK, Derived, Made
from ..neuron_state import Known, NeuronState
from ..pooled import NEURONS
from .neuron_activations import NeuronActivations

AT_ONCE = 8 * BLOCK
"""Images that are read at once."""


@dataclass(frozen=True)
class NeuronStatistics(Derived, TableView):
    """What the activations of each neuron are like, and whether a label of it would say anything.

    `status` is dead (zero for all images), constant (the same for all), tied (fewer than half of the `top_k`
    largest activations stand above the others: which images come next is arbitrary) or ok
    (`compute/neuron_state.py`). `nonzero` is a share of the images, `ties` how many images have the
    `top_k`-th largest activation, `images` how many could be read; without one the numbers are null.
    """

    activations: Input[NeuronActivations]
    top_k: Param[int] = 10
    """Images at the top of a neuron for which ties are counted."""
    axis: ClassVar[str] = "neuron"
    columns: ClassVar[Mapping[str, str]] = {
        "module": "string",
        "neuron": "int32",
        "images": "int64",
        "mean": "float64",
        "std": "float64",
        "minimum": "float64",
        "maximum": "float64",
        "nonzero": "float64",
        "ties": "int64",
        "status": "string",
    }

    def __post_init__(self) -> None:
        """Refuse to look at no image."""
        if self.top_k < 1:
            raise BadSource(f"top_k={self.top_k}: it is a number of images from 1")

    @property
    def grid(self) -> Grid:
        """Blocks of 256 neurons."""
        return Grid(self.activations.shape[1], NEURONS)

    def constant(self) -> Mapping[str, str]:
        """Name the module."""
        return self.activations.constant()

    def needs(self, index: int) -> Sequence[Unit]:
        """List the activations of all images."""
        return self.activations.units

    def contents(self, start: int, stop: int) -> str:
        """Give the digest of the neurons and of all activations."""
        return digest.of_sequence([f"{start}:{stop}", *(unit.key for unit in self.activations.units)])

    def derive(self, unit: Unit, parts: Parts) -> Made:
        """Gather the statistics of a block of neurons while the images stream by."""
        known = statistics(self.activations, parts, slice(unit.start, unit.stop), self.top_k)
        return Made(rows={"module": [self.activations.module] * len(known.count), **_columns(unit, known)})


def statistics(activations: NeuronActivations, parts: Parts, neurons: slice, k: int) -> Known:
    """Gather the statistics of some neurons over all images."""
    state = NeuronState(neurons.stop - neurons.start, k)
    for start in range(0, len(activations.images), AT_ONCE):
        images = slice(start, min(start + AT_ONCE, len(activations.images)))
        state.add(parts.array(activations, "activation", (images, neurons)))
    return state.found()


def _columns(unit: Unit, known: Known) -> dict[str, object]:
    numbers = {name: getattr(known, name) for name in ("mean", "std", "minimum", "maximum", "nonzero")}
    return {
        "neuron": np.arange(unit.start, unit.stop, dtype=np.int32),
        "images": known.count,
        **{name: [None if np.isnan(each) else float(each) for each in of] for name, of in numbers.items()},
        "ties": known.ties,
        "status": known.states,
    }
