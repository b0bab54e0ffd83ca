"""Where each concept of the demo's scenes is in a picture of one: the truth that painted it."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from ..demo.backgrounds import SIDE
from ..demo.digests import digests
from ..demo.scenes import Scene, scene
from ..demo.words import VALUES
from ..store.sets import ImageSet

Masks = NDArray[np.bool_]

KINDS = ("shape", "colour", "texture", "background")
"""The attributes that are somewhere in a picture; a number is not."""
CONCEPTS: tuple[str, ...] = tuple(value for kind in KINDS for value in VALUES[kind])
"""What there are masks of."""


def scene_of(images: ImageSet, place: int) -> Scene | None:
    """Give the test scene that a picture is, byte for byte and whatever its name; None where it is none."""
    number = _numbers().get(images.identities[place])
    return None if number is None else scene(number)


def shows_scenes(images: ImageSet) -> bool:
    """Tell whether any of the pictures is one of the test scenes, byte for byte."""
    return any(each in _numbers() for each in images.identities)


@cache
def _numbers() -> dict[str, int]:
    """The number of each test scene, by the digest of its picture."""
    return {each: number for number, each in enumerate(digests("scenes"))}


def masks(found: Scene) -> Masks:
    """Tell where each concept is, "concept y x".

    Shape, colour and texture of a scene are where its things are, its background is everywhere else; all
    other concepts are nowhere.
    """
    things = found.masks.any(axis=0)
    there = np.zeros((len(CONCEPTS), SIDE, SIDE), bool)
    for kind in KINDS:
        there[CONCEPTS.index(found.attributes[kind])] = ~things if kind == "background" else things
    return there
