"""The view of what chosen heads together add to each image's embedding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ...store import digest
from ...store.grid import Grid
from ...store.sets import ImageSet
from ...store.views import Array, ArrayView, Axis, Coord, Input, Member, Param, Parts, Unit
from ..heads import scalars
from ..heads.conventions import Convention
from ..heads.head_sets import Heads, heads_of
from ..heads.moments import Doubles, augment
from ..kinds import BLOCK, Derived, Made
from .head_contributions import HeadContributions
from .tower_maps import TowerMaps

IMAGES = 16 * BLOCK
"""Images of one unit."""
INNER = 512
"""Images of one inner chunk."""


@dataclass(frozen=True)
class ChosenContributions(Derived, ArrayView):
    """What the heads that a condition chooses add to each image's embedding together: the sum of theirs.

    An image as these heads see it, by which images are found that are alike in what the heads are about
    (Gandelsman et al. 2024, "Interpreting CLIP's Image Representation via Text-Based Decomposition", section
    4: images retrieved by property). Summed in float64 from the kept factors, kept in float32 with the
    length of each; without a condition, all heads.
    """

    contributions: Input[HeadContributions]
    heads: Input[Heads] = None
    """Which heads: a condition on roles, descriptions and places, one head, or a declared table; else all."""
    convention: Param[Convention] = "own"
    """How ln_post's mean and the biases are shared out: `own`, or as the published code does it."""
    axis: ClassVar[str] = "image"

    @property
    def images(self) -> ImageSet:
        """The images."""
        return self.contributions.images

    @property
    def maps(self) -> TowerMaps:
        """The tower's constants."""
        return TowerMaps(self.contributions.model)

    @property
    def grid(self) -> Grid:
        """Blocks of 4,096 images."""
        return Grid(len(self.images), IMAGES)

    @property
    def dims(self) -> tuple[str, ...]:
        """Image, joint."""
        return ("image", "joint")

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of these axes."""
        return (len(self.images), self.contributions.model.shape.joint)

    def constant(self) -> Mapping[str, str]:
        """Name the condition."""
        return {"heads": self.heads.condition} if self.heads else {}

    def coords(self) -> Mapping[str, Coord]:
        """Give the length of each image's sum."""
        return {"norm": lambda parts: parts.array(self, "norm")}

    def members(self) -> tuple[Member, ...]:
        """The sums, and their lengths."""
        images, joint = self.shape
        return (
            Member("vector", self.dims, self.shape, "float32", (INNER, joint)),
            Member("norm", ("image",), (images,), "float32", (IMAGES,)),
        )

    def needs(self, index: int) -> Sequence[Unit]:
        """List the contributions of a unit's images, the tower's maps and the choice of heads."""
        chosen = self.heads.units if self.heads else ()
        return (*self.contributions.covering(*self.grid.span(index)), *self.maps.units, *chosen)

    def contents(self, start: int, stop: int) -> str:
        """Give the digest of the keys of all these."""
        return digest.of_sequence(unit.key for unit in self.needs(start // IMAGES))

    def derive(self, unit: Unit, parts: Parts) -> Made:
        """Add up the chosen heads of one block of images after another."""
        places: dict[int, list[int]] = {}
        for layer, head in heads_of(self.heads, self.contributions.model.shape, parts):
            places.setdefault(layer, []).append(head)
        maps = {
            layer: self.maps.joint_maps(parts, layer, self.convention)[heads]
            for layer, heads in places.items()
        }
        blocks = self.contributions.covering(unit.start, unit.stop)
        vectors = np.concatenate([self._summed(block, places, maps, parts) for block in blocks])
        lengths = np.linalg.norm(vectors, axis=1)
        return Made(
            arrays={"vector": vectors.astype(np.float32), "norm": lengths.astype(np.float32)},
            absent={int(row): "the image could not be read" for row in np.flatnonzero(np.isnan(lengths))},
            facts={"heads": sum(map(len, places.values()))},
        )

    def _summed(
        self, block: Unit, places: Mapping[int, list[int]], maps: Mapping[int, Doubles], parts: Parts
    ) -> Doubles:
        """Give the sums "image joint" of one block; NaN for images that could not be read."""
        images = slice(block.start, block.stop)
        found = scalars.read(self.contributions, parts, images)
        total = np.zeros((block.stop - block.start, self.shape[1]))
        for layer, heads in places.items():
            factor = parts.array(self.contributions, "factor", (images, slice(layer, layer + 1)))[:, 0, heads]
            written = augment(factor, *found)[..., 1 : 1 + maps[layer].shape[2]]
            for coordinates, joint_map in zip(written, maps[layer], strict=True):
                total += coordinates @ joint_map.T
        return total

    def show(self, parts: Parts, selection: tuple[Axis, ...]) -> Array:
        """Give the sums as they are kept."""
        return parts.array(self, "vector", selection)
