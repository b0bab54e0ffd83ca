"""The view of where in each image the thing is that it shows, as the model sees the image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ...store import digest
from ...store.errors import NotAnnotated
from ...store.grid import Grid
from ...store.sets import ImageSet, Model
from ...store.views import Array, ArrayView, Axis, Input, Member, Parts, Unit
from ..images.patches import input_size, seen_part
from ..kinds import BLOCK, Assisted, Made

if TYPE_CHECKING:
    from ..running.aids import Aids


@dataclass(frozen=True)
class ForegroundMasks(Assisted, ArrayView):
    """Where in each image its thing is and not the background, at the pixels that the model sees.

    Masks are those with which the images were added (`masks=…`); the demo's scenes have their own, by which
    they were painted. They are taken through the model's preprocessing by the nearest pixel. An image
    without a mask has an absent row. Where preprocessing pads there is no image, and no thing.
    """

    model: Input[Model]
    images: Input[ImageSet]
    version: ClassVar[int] = 3  # 2 took masks as they lie, whatever orientation they state
    axis: ClassVar[str] = "image"
    by_masks: ClassVar[bool] = True
    together: ClassVar[int] = 1

    def __post_init__(self) -> None:
        """Refuse images of which no masks are known, and a model whose patches lie in no known place."""
        from ..images.scene_masks import shows_scenes

        _ = self.model.shape, input_size(self.model)
        if not any(self.images.masks) and not shows_scenes(self.images):
            hint = "add them again with masks=FOLDER (--masks FOLDER); the demo's scenes have their own"
            raise NotAnnotated(self.images.name, "masks", hint)

    @property
    def grid(self) -> Grid:
        """Blocks of 256 images."""
        return Grid(len(self.images), BLOCK)

    def contents(self, start: int, stop: int) -> str:
        """Give the digest of the images' bytes and of those of their masks."""
        masks = ("" if each is None else each[1] for each in self.images.masks[start:stop])
        return digest.of_sequence([self.images.contents(start, stop), *masks])

    @property
    def dims(self) -> tuple[str, ...]:
        """Image, y, x."""
        return ("image", "y", "x")

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of these axes, in pixels of what the model sees."""
        return (len(self.images), *input_size(self.model))

    @property
    def shown(self) -> np.dtype[np.bool_]:
        """True and false."""
        return np.dtype("bool")

    def members(self) -> tuple[Member, ...]:
        """The masks and where there is picture, eight pixels of a row a byte, and which images have any."""
        images, height, width = self.shape
        shape = (images, height, -(-width // 8))
        return (
            Member("bits", ("image", "y", "byte"), shape, "uint8", (64, *shape[1:])),
            Member("there", ("image", "y", "byte"), shape, "uint8", (64, *shape[1:])),
            Member("known", ("image",), (images,), "uint8", (BLOCK,)),
        )

    def assist(self, units: Sequence[Unit], parts: Parts, aids: Aids) -> Mapping[str, Made]:
        """Read each mask, or paint the scene again, and take it to what the model sees."""
        return {unit.key: self._made(unit, aids) for unit in units}

    def _made(self, unit: Unit, aids: Aids) -> Made:
        from ..images.stretch import at_input

        size = (unit.stop - unit.start, *self.shape[1:])
        masks, there = np.zeros(size, bool), np.zeros(size, bool)
        absent: dict[int, str] = {}
        for row in range(size[0]):
            found = self._mask(unit.start + row, aids)
            if isinstance(found, str):
                absent[row] = found
            else:
                seen = seen_part(self.model, found.shape[1], found.shape[0])
                masks[row], there[row] = at_input(found, seen, input_size(self.model))
        known = np.array([row not in absent for row in range(size[0])], np.uint8)
        arrays = {"bits": np.packbits(masks, axis=-1), "there": np.packbits(there, axis=-1), "known": known}
        return Made(arrays=arrays, absent=absent)

    def _mask(self, image_id: int, aids: Aids) -> Array | str:
        """Give an image's mask at the size of the image, or why there is none."""
        from ..images.masks import fetch, misfit
        from ..images.scene_masks import scene_of

        place, entries = self.images.masks[image_id], self.images.entries
        if place is None:
            scene = scene_of(self.images, image_id)
            return "it was added without a mask" if scene is None else np.asarray(scene.masks.any(axis=0))
        width, height = (entries[name][image_id].as_py() for name in ("width", "height"))
        found = fetch(aids.pictures, place)
        if width is None:
            return "it cannot be read"
        return misfit(found, width, height) or found

    def show(self, parts: Parts, selection: tuple[Axis, ...]) -> Array:
        """Unpack the bits."""
        return self.unpacked(parts, "bits", selection)

    def unpacked(self, parts: Parts, member: str, selection: tuple[Axis, ...]) -> Array:
        """Read where the things are, `bits`, or where there is picture, `there`."""
        *rows, across = selection
        bits = parts.array(self, member, rows)
        found: Array = np.unpackbits(bits, axis=-1, count=self.shape[2]).view(bool)[..., across]
        return found
