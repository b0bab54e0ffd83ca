"""The view of the images that activate each neuron most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...store import digest
from ...store.errors import BadSource
from ...store.grid import Grid
from ...store.views import Input, Parts, Read, TableView, Unit
from ..kinds import Derived, Made
from .neuron_activations import NEURONS, NeuronActivations
from .top_activations import KEPT, TopActivations


@dataclass(frozen=True)
class TopImages(Derived, TableView):
    """The images that activate each neuron of a module most, from rank 0 down; of equal ones the first.

    Exact, and merged from the `top_activations` of each block of images. Images that could not be read are
    left out. A neuron that gives the same for all images has the first images here: look at the activations.
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

    @cached_property
    def blocks(self) -> TopActivations:
        """What it is merged from."""
        return TopActivations(self.activations)

    def needs(self, index: int) -> Sequence[Unit]:
        """List the largest activations of each block of images."""
        return self.blocks.units

    def contents(self, start: int, stop: int) -> str:
        """Give the digest of the neurons and of all activations, from which what is merged follows."""
        keys = (unit.key for unit in self.activations.units)
        return digest.of_sequence([f"{start}:{stop}", f"merged from version {TopActivations.version}", *keys])

    def derive(self, unit: Unit, parts: Parts) -> Made:
        """Merge what is largest in each block of images, for a block of neurons."""
        best = self.blocks.merged(parts, slice(unit.start, unit.stop))
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
