"""The view of each neuron's largest activations, block of images by block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ...store import digest
from ...store.grid import Grid
from ...store.views import Array, ArrayView, Axis, Input, Member, Parts, Unit
from ..kinds import BLOCK, Derived, Made
from ..neurons.pooled import NEURONS
from ..neurons.topmost import KEPT
from ..topk import TopK
from .neuron_activations import NeuronActivations

TOP_BLOCK = 16 * BLOCK
"""Images of one unit."""
AT_ONCE = 8
"""Units of activations that are read at once."""


@dataclass(frozen=True)
class TopActivations(Derived, ArrayView):
    """The 100 largest activations of each neuron, from the largest down; NaN where images are fewer.

    Kept are those of each block of 4,096 images, with the images that they are of, from which those of all
    images are merged. So appended images recompute the last block at most, and read no other activations.
    """

    activations: Input[NeuronActivations]
    axis: ClassVar[str] = "image"

    @property
    def grid(self) -> Grid:
        """Blocks of 4,096 images."""
        return Grid(len(self.activations.images), TOP_BLOCK)

    @property
    def dims(self) -> tuple[str, ...]:
        """Neuron, rank."""
        return ("neuron", "rank")

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of these axes."""
        return (self.activations.shape[1], KEPT)

    @property
    def shard(self) -> int:
        """One table of ranks and neurons a unit."""
        return 1

    def constant(self) -> dict[str, str]:
        """Name the module."""
        return dict(self.activations.constant())

    def members(self) -> tuple[Member, ...]:
        """The activations, and the images that they are of, counted from the unit's first; -1 for none."""
        dims, shape = ("unit", "rank", "neuron"), (len(self.grid), KEPT, self.shape[0])
        inner = (1, KEPT, min(NEURONS, self.shape[0]))
        return (
            Member("activation", dims, shape, "float32", inner),
            Member("place", dims, shape, "int32", inner),
        )

    def needs(self, index: int) -> Sequence[Unit]:
        """List the activations of the images that a unit covers."""
        return self.activations.covering(*self.grid.span(index))

    def contents(self, start: int, stop: int) -> str:
        """Give the digest of the activations' keys."""
        return digest.of_sequence(unit.key for unit in self.activations.covering(start, stop))

    def derive(self, unit: Unit, parts: Parts) -> Made:
        """Read the activations of one block of neurons after another, and keep the largest."""
        shape = (1, KEPT, self.shape[0])
        largest, places = np.full(shape, np.nan, np.float32), np.full(shape, -1, np.int32)
        for first in range(0, self.shape[0], NEURONS):
            best = self._best(unit, slice(first, min(first + NEURONS, self.shape[0])), parts)
            neuron, rank, activation, place = best.found()
            largest[0, rank, first + neuron], places[0, rank, first + neuron] = activation, place
        return Made(arrays={"activation": largest, "place": places})

    def _best(self, unit: Unit, neurons: slice, parts: Parts) -> TopK:
        best = TopK(neurons.stop - neurons.start, KEPT)
        for start in range(unit.start, unit.stop, AT_ONCE * BLOCK):
            stop = min(start + AT_ONCE * BLOCK, unit.stop)
            values = parts.array(self.activations, "activation", (slice(start, stop), neurons))
            best.add(values, np.arange(start, stop) - unit.start)
        return best

    def merged(self, parts: Parts, neurons: slice) -> TopK:
        """Merge the blocks of all images for some neurons; rows of what is found are numbers of images."""
        best = TopK(neurons.stop - neurons.start, KEPT)
        for unit in self.units:
            block = (slice(unit.index, unit.index + 1), slice(None), neurons)
            values, places = (parts.array(self, name, block)[0] for name in ("activation", "place"))
            best.add(values, places.astype(np.int64) + unit.start)
        return best

    def show(self, parts: Parts, selection: tuple[Axis, ...]) -> Array:
        """Merge the blocks; the largest of all images are among the largest of each block."""
        found = np.full(self.shape, np.nan, np.float32)
        for first in range(0, self.shape[0], NEURONS):
            best = self.merged(parts, slice(first, min(first + NEURONS, self.shape[0])))
            neuron, rank, activation, _ = best.found()
            found[first + neuron, rank] = activation
        return found[selection[0]][:, selection[1]]
