"""The view of how far the heads of two models write alike for the same images."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from ...store import digest
from ...store.errors import BadSelection
from ...store.grid import Grid
from ...store.views import Array, Input, Param, Parts, Unit
from ..heads import scalars
from ..heads.cka import Alignment, Rows, rows_of
from ..heads.conventions import Convention
from ..heads.crossed import Pairs, blank
from ..heads.moments import Doubles, augment
from ..kinds import Made
from .head_contributions import HeadContributions
from .head_moments import HeadMoments
from .tower_maps import TowerMaps


@dataclass(frozen=True)
class HeadCka(Pairs):
    """Linear centred kernel alignment of each head with each head of another model, over the same images.

    From 0 to 1, whatever spaces the two write to (Kornblith et al. 2019; `compute/heads/cka.py`); `debiased`
    takes the unbiased estimator, which can fall below 0, for few images. Null for a head that writes the
    same for all images.
    """

    contributions: Input[HeadContributions]
    others: Input[HeadContributions]
    convention: Param[Convention] = "own"
    """How ln_post's mean and the biases are shared out: `own`, or as the published code does it."""
    debiased: Param[bool] = False
    """Leave out what an image has in common with itself."""
    bound: ClassVar[Mapping[str, str]] = {"others": "other"}
    textless: ClassVar[Collection[str]] = ("other",)

    @property
    def grid(self) -> Grid:
        """One layer of the model a unit."""
        return Grid(self.contributions.model.shape.layers, 1)

    @property
    def measure(self) -> str:
        """What its scores are called."""
        return "debiased_cka" if self.debiased else "cka"

    def constant(self) -> Mapping[str, str]:
        """Name the other model, and what is measured."""
        return {"other": self.others.model.name, "measure": self.measure}

    @cached_property
    def sides(self) -> tuple[_Side, _Side]:
        """Both models."""
        return _Side(self.contributions, self.convention), _Side(self.others, self.convention)

    def needs(self, index: int) -> Sequence[Unit]:
        """List contributions, moments and maps of both models."""
        found = [unit for side in self.sides for unit in side.units]
        return list({unit.key: unit for unit in found}.values())

    def contents(self, start: int, stop: int) -> str:
        """Give the digest of the layer and of all that."""
        return digest.of_sequence([str(start), *(unit.key for side in self.sides for unit in side.units)])

    def derive(self, unit: Unit, parts: Parts) -> Made:
        """Hold the heads of one layer against those of each layer of the other model."""
        first, second = self.sides
        shape = self.others.model.shape
        mine = first.rows(unit.start, parts)
        theirs = [second.rows(layer, parts) for layer in range(shape.layers)]
        found = [Alignment() for _ in theirs]
        for block in self.contributions.units:
            images = slice(block.start, block.stop)
            there = first.there(images, parts)
            if not np.array_equal(there, second.there(images, parts)):
                names = f"{self.contributions.model.name!r} and {self.others.model.name!r}"
                raise BadSelection(
                    f"{names} could not read the same images of {self.contributions.images.name!r}: "
                    "belvedere verify --deep says which have changed"
                )
            written = mine.of(first.written(images, there, unit.start, parts))
            for layer, each in enumerate(found):
                each.add(written, theirs[layer].of(second.written(images, there, layer, parts)))
        scores = blank(self.contributions.model.shape.heads, shape)
        for layer, each in enumerate(found):
            good = mine.there[:, None] & theirs[layer].there
            scores[:, layer] = np.where(good, each.scores(debiased=self.debiased), np.nan)
        return Made(rows=self.pairs(unit.start, scores), facts={"images": found[0].images})


@dataclass(frozen=True)
class _Side:
    """The heads of one of the two models."""

    contributions: HeadContributions
    convention: Convention

    @cached_property
    def maps(self) -> TowerMaps:
        """The tower's constants."""
        return TowerMaps(self.contributions.model)

    @cached_property
    def moments(self) -> HeadMoments:
        """The heads' moments."""
        return HeadMoments(self.contributions)

    @property
    def units(self) -> Sequence[Unit]:
        """All that is read of it."""
        return (*self.moments.units, *self.contributions.units, *self.maps.units)

    def rows(self, layer: int, parts: Parts) -> Rows:
        """Take what makes rows of a layer's heads."""
        whole = slice(None)
        moments = self.moments.show(parts, (slice(layer, layer + 1), whole, whole, whole))[0]
        return rows_of(moments, self.maps.joint_maps(parts, layer, self.convention))

    def there(self, images: slice, parts: Parts) -> Array:
        """Tell which images could be read."""
        return ~np.isnan(scalars.read(self.contributions, parts, images).norm)

    def written(self, images: slice, there: Array, layer: int, parts: Parts) -> Doubles:
        """Read s~ of a layer's heads for some images, "head image coordinate"."""
        factor = parts.array(self.contributions, "factor", (images, slice(layer, layer + 1)))[there, 0]
        found = (each[there] for each in scalars.read(self.contributions, parts, images))
        coordinates = self.contributions.model.shape.head_dim + (0 if self.convention == "own" else 3)
        return augment(factor, *found)[..., 1 : 1 + coordinates]
