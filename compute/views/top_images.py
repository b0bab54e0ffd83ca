"""The view of the images that activate each neuron most."""

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
from ..kinds import Derived, Made
from ..topk import TopK
from .neuron_activations import NEURONS, NeuronActivations

KEPT = 100
"""Images kept of each neuron; `k` of them are shown."""
AT_ONCE = 8
"""Units of activations that are read at once."""


@dataclass(frozen=True)
class TopImages(Derived, TableView):
    """The images that activate each neuron of a module most, from rank 0 down; of equal ones the first.

    Exact, and found while the activations are read block by block. Images that could not be read are left
    out. A neuron that gives the same for all images has the first images here: look at the activations.
    """

    activations: Input[NeuronActivations]
    k: Read[int] = 20
    """Images of each neuron, at most 100."""
    axis: ClassVar[str] = "neuron"
    columns: ClassVar[Mapping[str, str]] = {
        "module": "string",
        "neuron": "int32",
        "rank": "int32",
        "image_id": "int64",
        "activation": "float32",
    }

    def __post_init__(self) -> None:
        """Refuse more images than are kept."""
        if not 1 <= self.k <= KEPT:
            raise BadSource(f"k={self.k}: from 1 to {KEPT} images of each neuron are kept")

    @property
    def grid(self) -> Grid:
        """Blocks of 256 neurons."""
        return Grid(self.activations.shape[1], NEURONS)

    def constant(self) -> Mapping[str, str]:
        """Name the module."""
        return self.activations.constant()

    def narrow(self, rows: pa.Table) -> pa.Table:
        """Show the first `k` images of each neuron."""
        return rows.filter(pc.field("rank") < self.k)

    def needs(self, index: int) -> Sequence[Unit]:
        """List all activations."""
        return self.activations.units

    def contents(self, start: int, stop: int) -> str:
        """Give the digest of the neurons and of all activations."""
        return digest.of_sequence([f"{start}:{stop}", *(unit.key for unit in self.activations.units)])

    def derive(self, unit: Unit, parts: Parts) -> Made:
        """Read the activations of a block of neurons, and keep the largest."""
        best = TopK(unit.stop - unit.start, KEPT)
        units = self.activations.units
        for first in range(0, len(units), AT_ONCE):
            start, stop = units[first].start, units[min(first + AT_ONCE, len(units)) - 1].stop
            columns = (slice(start, stop), slice(unit.start, unit.stop))
            best.add(parts.array(self.activations, "activation", columns), np.arange(start, stop))
        neuron, rank, activation, image = best.found()
        return Made(
            rows={
                "module": [self.activations.module] * len(neuron),
                "neuron": (neuron + unit.start).astype(np.int32),
                "rank": rank.astype(np.int32),
                "image_id": image,
                "activation": activation.astype(np.float32),
            }
        )
