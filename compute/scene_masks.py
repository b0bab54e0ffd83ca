"""Where each concept of the demo's scenes is in a picture of one: the truth that painted it."""

from __future__ import annotations

import re

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
_NUMBER = re.compile(r"(\d{1,6})(\.png)?$")


def scene_of(images: ImageSet, place: int) -> Scene | None:
    """Give the test scene that a picture is, byte for byte; None where it is none.

    Its name ends in the scene's number, as those of `demo:scenes` and of their files do.
    """
    return scene(int(_NUMBER.findall(images.path(place))[0][0])) if is_scene(images, place) else None


def is_scene(images: ImageSet, place: int) -> bool:
    """Tell whether a picture is the test scene whose number its name ends in, byte for byte."""
    number = _NUMBER.search(images.path(place))
    return number is not None and digests("scenes")[int(number[1]) :][:1] == (images.identities[place],)


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
