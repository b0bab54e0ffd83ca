"""What is where in an image: planes that have at each pixel the number of a concept, or 0 for none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ..store.errors import UnreadablePicture
from ..store.sets import ImageSet
from .masks import HIGHEST, fetch, fetch_numbers
from .pictures import Pictures
from .scene_masks import CONCEPTS, PLANES, planes, scene_of, shows_scenes

Planes = NDArray[np.uint16]


class ConceptPlanes:
    """Knows the concepts of a set of images, and where they are in each."""

    def __init__(self, images: ImageSet) -> None:
        """Take what was said of the images and of their masks; nothing is read."""
        self._images = images
        self._labels = images.entries["label"].to_pylist()
        scenes = shows_scenes(images)
        named = {concept for row in range(len(images)) for concept in self.said(row).values()}
        of_scenes = CONCEPTS if scenes else ()
        self.concepts: tuple[str, ...] = (*of_scenes, *sorted(named - {*of_scenes}))
        """The concepts: of the demo's scenes in their order, then others by the alphabet."""
        self.depth = PLANES if scenes else 1
        """How many concepts may be at one pixel."""

    def said(self, image_id: int) -> Mapping[int | None, str]:
        """Tell what each number in an image's mask stands for; None is all but 0, its thing."""
        if self._images.masks[image_id] is None:
            return {}
        concepts, label = self._images.mask_concepts[image_id], self._labels[image_id]
        if concepts is not None:
            return dict(concepts.items())
        return {} if label is None else {None: str(label)}

    def of(self, image_id: int, pictures: Pictures) -> Planes | str:
        """Give the planes "plane y x" of an image at its own size, or why there are none.

        Raises `PictureChanged` where its mask is another one than was added.
        """
        place, said, entries = self._images.masks[image_id], self.said(image_id), self._images.entries
        if place is None:
            scene = scene_of(self._images, image_id)
            return "it was added without a mask" if scene is None else self._scene(planes(scene))
        if not said:
            return "it has a mask, and neither a label nor concepts that the mask's numbers stand for"
        width, height = (entries[name][image_id].as_py() for name in ("width", "height"))
        if width is None:
            return "it cannot be read"
        try:
            found = self._mask(place, said, pictures)
        except UnreadablePicture as error:
            return f"its mask cannot be read: {error}"
        if found.shape != (height, width):
            return f"its mask has {found.shape[1]} × {found.shape[0]} pixels, and it has {width} × {height}"
        whole = np.zeros((self.depth, height, width), np.uint16)
        whole[0] = found
        return whole

    def _mask(self, place: tuple[str, str], said: Mapping[int | None, str], pictures: Pictures) -> Planes:
        """Give a mask with its numbers replaced by those of their concepts."""
        if None in said:
            return fetch(pictures, place) * np.uint16(self._number(said[None]))
        numbers = np.zeros(HIGHEST + 1, np.uint16)
        for value, concept in said.items():
            numbers[value] = self._number(concept)
        return numbers[fetch_numbers(pictures, place)]

    def _scene(self, there: Sequence[NDArray[np.object_]]) -> Planes:
        found = np.zeros((self.depth, *there[0].shape), np.uint16)
        for plane, names in zip(found, there, strict=True):
            for name in {str(each) for each in names.flat if each}:
                plane[names == name] = self._number(name)
        return found

    def _number(self, concept: str) -> int:
        return self.concepts.index(concept) + 1
