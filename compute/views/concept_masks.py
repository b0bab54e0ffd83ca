"""The view of where concepts are in each image, as the model sees it, for images of which that is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ...store.errors import BadSource, NotAnnotated
from ...store.grid import Grid
from ...store.sets import ImageSet, Model
from ...store.views import Array, ArrayView, Axis, Coord, Input, Member, Param, Parts, Unit
from ..kinds import BLOCK, Assisted, Made
from ..neurons.overlap import OUTSIDE

if TYPE_CHECKING:
    from ..images.concept_planes import ConceptPlanes
    from ..images.geometry import Window
    from ..running.aids import Aids

LARGEST = 512
"""Pixels of a mask's side, at most."""


@dataclass(frozen=True)
class ConceptMasks(Assisted, ArrayView):
    """Where in each image each concept is, at `mask_side` × `mask_side` places of what the model sees.

    An image that was added with a mask has the concepts that the mask's numbers stand for (`concepts=…`);
    where that was not said, its label is where the mask is not black. The demo's scenes are recognised by
    their bytes: where a scene's things are, there are its shape, colour and texture, and its background is
    everywhere else. An image of which nothing is known has an absent row.

    Masks are taken through the model's own preprocessing by the nearest pixel. Network Dissection (Bau et
    al. 2017) has masks of 112 × 112 for networks that see 224 × 224 pixels.
    """

    model: Input[Model]
    images: Input[ImageSet]
    mask_side: Param[int] = 112
    """Places of a side."""
    version: ClassVar[int] = 3  # 2 knew the demo's scenes alone, at their own size
    axis: ClassVar[str] = "image"
    by_masks: ClassVar[bool] = True
    together: ClassVar[int] = 1

    def __post_init__(self) -> None:
        """Refuse images of which nothing is known, `NotAnnotated`, and too many places or concepts."""
        if not 1 <= self.mask_side <= LARGEST:
            raise BadSource(f"mask_side={self.mask_side}: from 1 to {LARGEST} places of a side")
        if not self.concepts:
            hint = (
                "add them again with masks, and labels or a table of what the masks' numbers stand for "
                "(--masks DIR --concepts FILE); the demo's scenes have their own"
            )
            raise NotAnnotated(self.images.name, "masks of concepts", hint)
        if len(self.concepts) >= OUTSIDE:
            raise BadSource(
                f"{self.images.name} has masks of {len(self.concepts):,} concepts, which are too many"
            )

    @cached_property
    def concepts(self) -> tuple[str, ...]:
        """The names of the concepts, in the order in which they come in the set."""
        return self._truth.concepts

    @cached_property
    def _truth(self) -> ConceptPlanes:
        from ..images.concept_planes import ConceptPlanes

        return ConceptPlanes(self.images)

    @property
    def grid(self) -> Grid:
        """Blocks of 256 images."""
        return Grid(len(self.images), BLOCK)

    def contents(self, start: int, stop: int) -> str:
        """Give the digest of the images, of their masks, and of what is in these."""
        return self._truth.contents(start, stop)

    @property
    def dims(self) -> tuple[str, ...]:
        """Image, concept, y, x."""
        return ("image", "concept", "y", "x")

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of these axes."""
        return (len(self.images), len(self.concepts), self.mask_side, self.mask_side)

    @property
    def shown(self) -> np.dtype[np.bool_]:
        """True and false."""
        return np.dtype("bool")

    def coords(self) -> Mapping[str, Coord]:
        """The names of the concepts."""
        return {"concept": self.concepts}

    def members(self) -> tuple[Member, ...]:
        """Planes with the number of the concept that is at each place, from 1, and which images have any."""
        shape = (self.shape[0], self._truth.depth, *self.shape[2:])
        return (
            Member("planes", ("image", "plane", "y", "x"), shape, "uint16", (64, *shape[1:])),
            Member("known", ("image",), shape[:1], "uint8", (BLOCK,)),
        )

    def assist(self, units: Sequence[Unit], parts: Parts, aids: Aids) -> Mapping[str, Made]:
        """Read each mask, or paint the scene again, and take it to what the model sees."""
        return {unit.key: self._made(unit, aids) for unit in units}

    def _made(self, unit: Unit, aids: Aids) -> Made:
        from ..images.stretch import at_input

        windows, count, side = aids.loaded(self.model).windows, unit.stop - unit.start, self.mask_side
        found = np.zeros((count, self._truth.depth, side, side), np.uint16)
        absent: dict[int, str] = {}
        for row in range(count):
            planes = self._truth.of(unit.start + row, aids.pictures)
            window = None if isinstance(planes, str) else windows.of(planes.shape[2], planes.shape[1])
            if isinstance(planes, str):
                absent[row] = planes
            elif window is None:
                size = f"{planes.shape[2]} × {planes.shape[1]}"
                absent[row] = f"of {size} pixels {self.model.name} sees too few to tell where it looks"
            else:
                for plane, numbers in enumerate(planes):
                    at, there = at_input(numbers, _steady(window), (side, side))
                    found[row, plane] = np.where(there, at, OUTSIDE)
        known = np.array([row not in absent for row in range(count)], np.uint8)
        return Made(arrays={"planes": found, "known": known}, absent=absent)

    def show(self, parts: Parts, selection: tuple[Axis, ...]) -> Array:
        """Tell where the chosen concepts are."""
        rows, concepts, *places = selection
        planes = parts.array(self, "planes", (rows, slice(None), *places))
        numbers = np.arange(1, len(self.concepts) + 1, dtype=np.uint16)[concepts]
        found: Array = (planes[:, None] == numbers[:, None, None, None]).any(axis=2)
        return found


def _steady(window: Window) -> Window:
    """Round the ends to a tenth of a pixel, so that the last bits of a fitted line decide over no pixel."""
    from ..images.geometry import Window

    return Window(*(round(end, 1) for end in (window.left, window.top, window.right, window.bottom)))
