"""Scenes with known truth: shape, colour, number, texture and background, each scene keyed by a number.

Training scenes carry one deliberate bias, as pictures of water birds do: most stars shine in the night sky
and most rings float on water (`BIAS`). Test scenes draw every attribute on its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .backgrounds import SIDE
from .captions import caption
from .dice import Dice
from .painter import Thing, coverage, paint
from .png import encode_png
from .words import VALUES

BIAS: Mapping[str, str] = MappingProxyType({"star": "night", "ring": "water"})
"""The background on which a shape mostly stands in training scenes."""

BIAS_SHARE = 0.88
"""The share of training scenes with such a shape that are moved to its background."""

TRAINING_SEED, TEST_SEED = 1, 2

_RADII = {"1": (13.0, 20.0), "2": (11.5, 15.0), "3": (11.0, 14.0), "4": (10.5, 13.0)}


@dataclass(frozen=True, slots=True)
class Scene:
    """One scene: what is in it, and from that its picture."""

    seed: int
    """Which family of scenes it belongs to."""
    index: int
    """Which scene of its family it is."""
    shape: str
    colour: str
    number: str
    texture: str
    background: str
    things: tuple[Thing, ...]
    """Where its things stand; all share shape, colour and texture, and none touches another."""

    @property
    def attributes(self) -> dict[str, str]:
        """The five attributes by name."""
        return {name: str(getattr(self, name)) for name in VALUES}

    @property
    def label(self) -> str:
        """The shape, which serves as the class of the picture."""
        return self.shape

    @property
    def grp(self) -> str:
        """The background, which serves as the group of the picture."""
        return self.background

    @property
    def caption(self) -> str:
        """A sentence that names all five attributes."""
        return caption(self.attributes)

    @property
    def masks(self) -> NDArray[np.bool_]:
        """Where each thing covers at least half of a pixel, shape (number, 64, 64)."""
        return np.stack([coverage(self.shape, thing) >= 0.5 for thing in self.things])

    @property
    def boxes(self) -> tuple[tuple[int, int, int, int], ...]:
        """The tight box of each mask: left, top, right, bottom in pixels, the last two exclusive."""
        return tuple(_box(mask) for mask in self.masks)

    def pixels(self) -> NDArray[np.uint8]:
        """Paint the scene: RGB of shape (64, 64, 3)."""
        dice = Dice(self.seed, self.index, 1)
        return paint(self.shape, self.colour, self.texture, self.background, self.things, dice)

    def image(self) -> Image.Image:
        """Paint the scene as a PIL image of 64 × 64 pixels."""
        return Image.fromarray(self.pixels())

    def png(self) -> bytes:
        """Paint the scene as the bytes of a PNG file, equal on every machine."""
        return encode_png(self.pixels())


def _box(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _apart(one: Thing, x: float, y: float, radius: float) -> bool:
    least = 1.05 * (one.radius + radius) + 2
    return abs(one.x - x) >= least or abs(one.y - y) >= least


def _place(dice: Dice, number: str) -> tuple[Thing, ...]:
    """Draw things until they stand apart, smaller ones when they do not fit."""
    radius = dice.uniform(*_RADII[number])
    while True:
        placed: list[Thing] = []
        for _ in range(40 * int(number)):
            size, x, y, tilt, *phase = dice.units(6)
            size = radius * (0.92 + (1.0 - 0.92) * size)
            low, high = size + 1, SIDE - 1 - size
            x, y = low + (high - low) * x, low + (high - low) * y
            if all(_apart(other, x, y, size) for other in placed):
                placed.append(Thing(x, y, size, -0.09 + (0.09 - -0.09) * tilt, (phase[0], phase[1])))
            if len(placed) == int(number):
                return tuple(placed)
        radius *= 0.97


@lru_cache(maxsize=4096)
def scene(index: int, *, seed: int = TEST_SEED, biased: bool = False) -> Scene:
    """Return one scene, a pure function of seed, index and bias.

    Args:
        index: Which scene of the family, from 0.
        seed: Which family.
        biased: Whether shapes keep to their background as `BIAS` tells.
    """
    dice = Dice(seed, index, 0)
    drawn = _attributes(dice, biased=biased)
    return Scene(seed, index, **drawn, things=_place(dice, drawn["number"]))


def attributes(index: int, *, seed: int = TEST_SEED, biased: bool = False) -> dict[str, str]:
    """Return the attributes of one scene; nothing is placed, which takes most of the time."""
    return _attributes(Dice(seed, index, 0), biased=biased)


def _attributes(dice: Dice, *, biased: bool) -> dict[str, str]:
    drawn = {name: dice.pick(values) for name, values in VALUES.items()}
    if biased and drawn["shape"] in BIAS and dice.uniform(0, 1) < BIAS_SHARE:
        drawn["background"] = BIAS[drawn["shape"]]
    return drawn


def training_scenes(n: int) -> Sequence[Scene]:
    """Return the first n training scenes, which carry the bias."""
    return tuple(scene(index, seed=TRAINING_SEED, biased=True) for index in range(n))


def test_scenes(n: int = 2000) -> Sequence[Scene]:  # noqa: PT028, it is no test
    """Return the first n scenes of the image set ``demo:scenes``, which carry no bias."""
    return tuple(scene(index) for index in range(n))


test_scenes.__dict__["__test__"] = False  # pytest takes functions of such names for tests
