"""The view of each head's moments, all that TextSpan asks of the images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ...store import digest
from ...store.grid import Grid
from ...store.views import Array, ArrayView, Axis, Input, Member, Parts, Unit
from ..heads import scalars
from ..heads.moments import EXTRA, merge, moments, pack, unpack
from ..kinds import BLOCK, Derived, Made
from .head_contributions import HeadContributions

MOMENTS_BLOCK = 16 * BLOCK
"""Images of one unit."""


@dataclass(frozen=True)
class HeadMoments(Derived, ArrayView):
    """Count, sum and uncentred second moment of each head's factors, in one matrix, for both conventions.

    Over images, Σ [1; s̃][1; s̃]ᵀ in float64 with s̃ = [s/(σn); 1/(σn); μ/(σn); 1/n]. Moments of disjoint
    sets of images add up, so one unit covers 4,096 images and appended images recompute the last at most.
    """

    contributions: Input[HeadContributions]
    axis: ClassVar[str] = "image"

    @property
    def grid(self) -> Grid:
        """Blocks of 4,096 images."""
        return Grid(len(self.contributions.images), MOMENTS_BLOCK)

    @property
    def dims(self) -> tuple[str, ...]:
        """Layer, head, factor, factor."""
        return ("layer", "head", "factor", "factor")

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of these axes."""
        size = self.contributions.model.shape
        return (size.layers, size.heads, size.head_dim + EXTRA, size.head_dim + EXTRA)

    @property
    def shard(self) -> int:
        """One matrix a unit."""
        return 1

    @property
    def shown(self) -> np.dtype[np.float64]:
        """Float64."""
        return np.dtype("float64")

    def members(self) -> tuple[Member, ...]:
        """The lower triangles, one set for each unit."""
        layers, heads, factor, _ = self.shape
        packed = factor * (factor + 1) // 2
        dims = ("unit", "layer", "head", "packed")
        shape = (len(self.grid), layers, heads, packed)
        return (Member("moments", dims, shape, "float64", (1, 1, heads, packed)),)

    def needs(self, index: int) -> Sequence[Unit]:
        """List the contributions of the images that a unit covers."""
        return self.contributions.covering(*self.grid.span(index))

    def contents(self, start: int, stop: int) -> str:
        """Give the digest of the contributions' keys."""
        return digest.of_sequence(unit.key for unit in self.contributions.covering(start, stop))

    def derive(self, unit: Unit, parts: Parts) -> Made:
        """Add up the moments of one block of contributions after another."""
        total: Array | None = None
        for block in unit.needs:
            images = slice(block.start, block.stop)
            factor = parts.array(self.contributions, "factor", (images,))
            found = moments(factor, *scalars.read(self.contributions, parts, images))
            total = found if total is None else merge(total, found)
        if total is None:
            raise ValueError(f"{unit} covers no images")
        return Made(arrays={"moments": pack(total)[None]}, facts={"images": round(float(total[0, 0, 0, 0]))})

    def show(self, parts: Parts, selection: tuple[Axis, ...]) -> Array:
        """Add up the units; the sum is that over all images."""
        layers, heads, first, second = selection
        packed = parts.array(self, "moments", (slice(None), layers, heads)).sum(axis=0)
        return unpack(packed)[:, :, first][:, :, :, second]
