"""What is where in an image: planes that have at each pixel the number of a concept, or 0 for none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...store import digest
from ...store.errors import UnreadablePicture
from ...store.sets import ImageSet
from .masks import HIGHEST, fetch, fetch_numbers, misfit
from .pictures import Pictures
from .scene_masks import CONCEPTS, PLANES, planes, scene_of, shows_scenes

Planes = NDArray[np.uint16]


@dataclass(frozen=True, eq=False)
class _Meaning:
    """What the pixels of some masks stand for."""

    numbers: Mapping[int, int] | None
    """The numbers of concepts, by those that stand in a mask; None where all but 0 is its thing."""
    thing: int
    """The number of what a mask is of; 0 where it has numbers."""
    key: str
    """A digest of these and of what the concepts are called."""


class ConceptPlanes:
    """Knows the concepts of a set of images, and where they are in each.

    Concepts are numbered from 1 in the order in which they come: those of the demo's scenes, then image by
    image those of its mask. So what is kept of an image stays when others are appended.
    """

    def __init__(self, images: ImageSet) -> None:
        """Take what was said of the images and of their masks; nothing is read."""
        self._images = images
        scenes = shows_scenes(images)
        self._numbers: dict[str, int] = {}
        self._number(CONCEPTS if scenes else ())
        self.depth = PLANES if scenes else 1
        """How many concepts may be at one pixel."""
        known: dict[object, _Meaning | None] = {}
        labels = images.entries["label"].to_pylist()
        self._meanings: list[_Meaning | None] = []
        for mask, concepts, label in zip(images.masks, images.mask_concepts, labels, strict=True):
            cause = None if mask is None else label if concepts is None else id(concepts)
            if cause not in known:
                known[cause] = None if cause is None else self._meaning(concepts, str(label))
            self._meanings.append(known[cause])

    @property
    def concepts(self) -> tuple[str, ...]:
        """The concepts, in the order of their numbers."""
        return tuple(self._numbers)

    def contents(self, start: int, stop: int) -> str:
        """Give the digest of some images, of their masks, and of what these stand for."""
        masks = ("" if each is None else each[1] for each in self._images.masks[start:stop])
        said = ("" if each is None else each.key for each in self._meanings[start:stop])
        return digest.of_sequence([self._images.contents(start, stop), str(self.depth), *masks, *said])

    def of(self, image_id: int, pictures: Pictures) -> Planes | str:
        """Give the planes "plane y x" of an image at its own size, or why there are none.

        Raises `PictureChanged` where its mask is another one than was added.
        """
        place, meaning, entries = self._images.masks[image_id], self._meanings[image_id], self._images.entries
        if place is None:
            scene = scene_of(self._images, image_id)
            return "it was added without a mask" if scene is None else self._scene(planes(scene))
        if meaning is None:
            return "it has a mask, and neither a label nor concepts that the mask's numbers stand for"
        width, height = (entries[name][image_id].as_py() for name in ("width", "height"))
        if width is None:
            return "it cannot be read"
        try:
            found = _read(place, meaning, pictures)
        except UnreadablePicture as error:
            return f"its mask cannot be read: {error}"
        if wrong := misfit(found, width, height):
            return wrong
        whole = np.zeros((self.depth, height, width), np.uint16)
        whole[0] = found
        return whole

    def _meaning(self, said: Mapping[int, str] | None, label: str) -> _Meaning:
        """Number what a mask's numbers stand for, or the label that its thing has."""
        self._number([label] if said is None else said.values())
        if said is None:
            thing = self._numbers[label]
            return _Meaning(None, thing, digest.of_sequence([str(thing), label]))
        numbers = {value: self._numbers[concept] for value, concept in said.items()}
        told = (f"{value}\t{numbers[value]}\t{concept}" for value, concept in said.items())
        return _Meaning(numbers, 0, digest.of_sequence(told))

    def _number(self, concepts: Iterable[str]) -> None:
        for concept in concepts:
            self._numbers.setdefault(concept, len(self._numbers) + 1)

    def _scene(self, there: Sequence[NDArray[np.object_]]) -> Planes:
        found = np.zeros((self.depth, *there[0].shape), np.uint16)
        for plane, names in zip(found, there, strict=True):
            for name in {str(each) for each in names.flat if each}:
                plane[names == name] = self._numbers[name]
        return found


def _read(place: tuple[str, str], meaning: _Meaning, pictures: Pictures) -> Planes:
    """Read a mask, with its numbers replaced by those of the concepts that they stand for."""
    if meaning.numbers is None:
        return fetch(pictures, place) * np.uint16(meaning.thing)
    of = np.zeros(HIGHEST + 1, np.uint16)
    of[list(meaning.numbers)] = list(meaning.numbers.values())
    return of[fetch_numbers(pictures, place)]
