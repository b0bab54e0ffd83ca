"""Where each concept of the demo's scenes is in a picture of one: the truth that painted it."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from ..demo.backgrounds import SIDE
from ..demo.scenes import Scene, scene
from ..demo.words import VALUES
from ..store import digest
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
    number = _NUMBER.search(images.path(place))
    found = scene(int(number[1])) if number else None
    is_it = found is not None and digest.of_bytes(found.png()) == images.identities[place]
    return found if is_it else None


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
