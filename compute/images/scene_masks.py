"""Where each concept of the demo's scenes is in a picture of one: the truth that painted it."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from ...demo.digests import digests
from ...demo.scenes import Scene, scene
from ...demo.words import VALUES
from ...store.sets import ImageSet

CONCEPTS: tuple[str, ...] = tuple(
    value for kind in ("shape", "colour", "texture", "background") for value in VALUES[kind]
)
"""What there are masks of: attributes that are somewhere in a picture, as a number is not."""
PLANES = 3
"""Concepts that may be at one pixel of a scene: a shape, a colour and a texture."""


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


def planes(found: Scene) -> list[NDArray[np.object_]]:
    """Tell what is where, plane by plane "y x", a concept or None at each pixel.

    Shape, colour and texture of a scene are where its things are, each in a plane of its own; its background
    is everywhere else, in the first.
    """
    things = found.masks.any(axis=0)
    kinds = ("shape", "colour", "texture")
    elsewhere = [found.attributes["background"], None, None]
    return [
        np.where(things, np.array(found.attributes[kind], object), np.array(rest, object))
        for kind, rest in zip(kinds, elsewhere, strict=True)
    ]
