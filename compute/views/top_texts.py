"""The view of the texts that activate each neuron most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...store import digest
from ...store.errors import BadSource
from ...store.grid import Grid
from ...store.views import Input, Parts, Read, TableView, Unit
from ..kinds import BLOCK, Derived, Made
from ..topk import TopK
from .neuron_activations import NEURONS
from .text_neuron_activations import TextNeuronActivations

KEPT = 100
"""Texts kept of each neuron."""
AT_ONCE = 16
"""Units of activations that are read at once."""


@dataclass(frozen=True)
class TopTexts(Derived, TableView):
    """The texts that activate each neuron of a text tower's module most, from rank 0 down.

    Of texts that activate it equally the first comes before. Texts that are longer than the model reads are
    left out. A neuron that gives the same for all texts has the first ones: look at the activations.
    """

    activations: Input[TextNeuronActivations]
    k: Read[int] = 20
    """Texts of each neuron, at most 100."""
    axis: ClassVar[str] = "neuron"
    columns: ClassVar[Mapping[str, str]] = {
        "module": "string",
        "neuron": "int32",
        "rank": "int32",
        "text_id": "int64",
        "activation": "float32",
    }

    def __post_init__(self) -> None:
        """Refuse more texts than are kept."""
        if not 1 <= self.k <= KEPT:
            raise BadSource(f"k={self.k}: from 1 to {KEPT} texts of each neuron are kept")

    @property
    def grid(self) -> Grid:
        """Blocks of 256 neurons."""
        return Grid(self.activations.shape[1], NEURONS)

    def constant(self) -> Mapping[str, str]:
        """Name the module."""
        return self.activations.constant()

    def narrow(self, rows: pa.Table) -> pa.Table:
        """Show the first `k` texts of each neuron."""
        return rows.filter(pc.field("rank") < self.k)

    def needs(self, index: int) -> Sequence[Unit]:
        """List the activations of all texts."""
        return self.activations.units

    def contents(self, start: int, stop: int) -> str:
        """Give the digest of the neurons and of all activations."""
        return digest.of_sequence([f"{start}:{stop}", *(unit.key for unit in self.activations.units)])

    def derive(self, unit: Unit, parts: Parts) -> Made:
        """Find what is largest for a block of neurons, some blocks of texts at a time."""
        best, count = TopK(unit.stop - unit.start, KEPT), self.activations.shape[0]
        for start in range(0, count, AT_ONCE * BLOCK):
            some = slice(start, min(start + AT_ONCE * BLOCK, count))
            values = parts.array(self.activations, "activation", (some, slice(unit.start, unit.stop)))
            best.add(values, np.arange(some.start, some.stop))
        neuron, rank, activation, text = best.found()
        return Made(
            rows={
                "module": [self.activations.module] * len(neuron),
                "neuron": (neuron + unit.start).astype(np.int32),
                "rank": rank.astype(np.int32),
                "text_id": text,
                "activation": activation.astype(np.float32),
            }
        )
