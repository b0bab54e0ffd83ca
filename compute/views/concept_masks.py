"""The view of where concepts are in each image, for image sets of which that is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from ...store.errors import NotAnnotated
from ...store.grid import Grid
from ...store.sets import ImageSet
from ...store.views import Array, ArrayView, Axis, Coord, Input, Member, Parts, Unit
from ..kinds import BLOCK, Derived, Made


@dataclass(frozen=True)
class ConceptMasks(Derived, ArrayView):
    """Where in each image each concept is: shapes, colours, textures and backgrounds of the demo's scenes.

    The demo's scenes are recognised by their bytes; a picture among them that is none has no masks, and its
    row is absent. Where a scene's things are, there are its shape, colour and texture; its background is
    everywhere else.
    """

    images: Input[ImageSet]
    version: ClassVar[int] = 2  # 1 knew a scene by its file's name as well
    axis: ClassVar[str] = "image"

    def __post_init__(self) -> None:
        """Refuse images of which nothing is known: `NotAnnotated`."""
        from ..scene_masks import shows_scenes

        if not shows_scenes(self.images):
            hint = "the demo's scenes have (belvedere add images NAME demo:scenes)"
            raise NotAnnotated(self.images.name, "masks of concepts", hint)

    @cached_property
    def concepts(self) -> tuple[str, ...]:
        """The names of the concepts."""
        from ..scene_masks import CONCEPTS

        return CONCEPTS

    @property
    def grid(self) -> Grid:
        """Blocks of 256 images."""
        return Grid(len(self.images), BLOCK)

    def contents(self, start: int, stop: int) -> str:
        """Give the digest of the images' bytes."""
        return self.images.contents(start, stop)

    @property
    def dims(self) -> tuple[str, ...]:
        """Image, concept, y, x."""
        return ("image", "concept", "y", "x")

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of these axes."""
        from ...demo.backgrounds import SIDE

        return (len(self.images), len(self.concepts), SIDE, SIDE)

    @property
    def shown(self) -> np.dtype[np.bool_]:
        """True and false."""
        return np.dtype("bool")

    def coords(self) -> Mapping[str, Coord]:
        """The names of the concepts."""
        return {"concept": self.concepts}

    def members(self) -> tuple[Member, ...]:
        """The masks, eight pixels of a row a byte, and which images have any."""
        images, concepts, height, width = self.shape
        shape = (images, concepts, height, width // 8)
        return (
            Member("bits", ("image", "concept", "y", "byte"), shape, "uint8", (64, *shape[1:])),
            Member("known", ("image",), (images,), "uint8", (BLOCK,)),
        )

    def derive(self, unit: Unit, parts: Parts) -> Made:
        """Paint each scene again, and where it is the picture take its masks."""
        from ..scene_masks import masks, scene_of

        found = np.zeros((unit.stop - unit.start, *self.shape[1:]), bool)
        absent: dict[int, str] = {}
        for row in range(len(found)):
            scene = scene_of(self.images, unit.start + row)
            if scene is None:
                absent[row] = "it is not one of the demo's scenes, so that nothing is known of its masks"
            else:
                found[row] = masks(scene)
        known = np.array([row not in absent for row in range(len(found))], np.uint8)
        return Made(arrays={"bits": np.packbits(found, axis=-1), "known": known}, absent=absent)

    def show(self, parts: Parts, selection: tuple[Axis, ...]) -> Array:
        """Unpack the bits."""
        *rows, across = selection
        bits = parts.array(self, "bits", rows)
        return np.unpackbits(bits, axis=-1).view(bool)[..., across]
