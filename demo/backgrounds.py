"""The six backgrounds, each painted as 64 × 64 pixels of RGB between 0 and 255."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from .dice import Dice

SIDE = 64
"""Height and width of every scene, in pixels."""

Pixels = NDArray[np.float64]

_ROWS, _COLUMNS = np.mgrid[0:SIDE, 0:SIDE].astype(np.float64)


def _mix(low: tuple[int, int, int], high: tuple[int, int, int], share: Pixels) -> Pixels:
    """Blend two colours by a share between 0 and 1 for each pixel."""
    start, end = np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)
    blend: Pixels = start * (1 - share[..., None]) + end * share[..., None]
    return blend


def _wave(turns: Pixels) -> Pixels:
    """Return a wave between 0 and 1 of period 1, built of parabolas: plain arithmetic, equal everywhere."""
    part = turns - np.floor(turns)
    half = np.where(part < 0.5, part, part - 0.5)
    bump = 16 * half * (0.5 - half)
    wave: Pixels = np.where(part < 0.5, 0.5 + 0.5 * bump, 0.5 - 0.5 * bump)
    return wave


def _clouds(dice: Dice, cells: int) -> Pixels:
    """Return smooth random hills between 0 and 1, `cells` of them along each side."""
    knots = dice.grid(cells + 2, cells + 2)
    place = np.arange(SIDE) * cells / SIDE
    left = place.astype(int)
    share = place - left
    share = share * share * (3 - 2 * share)
    rows = knots[left] * (1 - share)[:, None] + knots[left + 1] * share[:, None]
    hills: Pixels = rows[:, left] * (1 - share) + rows[:, left + 1] * share
    return hills


def _grass(dice: Dice) -> Pixels:
    blades = dice.grid(SIDE + 6, SIDE)
    streaks = sum(blades[shift : shift + SIDE] for shift in range(6)) / 6
    share = np.clip(0.5 + 2.2 * (streaks - 0.5) + 0.5 * (_clouds(dice, 5) - 0.5), 0, 1)
    return _mix((52, 92, 40), (134, 172, 84), share)


def _sand(dice: Dice) -> Pixels:
    ripples = _wave(_ROWS / 7.5 + 0.9 * _clouds(dice, 3) + dice.uniform(0, 1))
    grains = dice.grid(SIDE, SIDE)
    return _mix((203, 172, 118), (238, 216, 166), np.clip(0.65 * ripples + 0.35 * grains, 0, 1))


def _water(dice: Dice) -> Pixels:
    swell = _wave(_ROWS / 9 + 1.2 * _clouds(dice, 4) + dice.uniform(0, 1))
    crests = np.clip(5 * (swell - 0.8), 0, 1)
    deep = _mix((34, 92, 132), (62, 132, 164), swell)
    return deep + crests[..., None] * 0.45 * (np.asarray((214, 236, 240)) - deep)


def _night(dice: Dice) -> Pixels:
    sky = _mix((8, 9, 30), (36, 34, 78), np.clip(0.55 * _ROWS / SIDE + 0.5 * _clouds(dice, 3), 0, 1))
    for _ in range(26):
        row, column = dice.below(SIDE), dice.below(SIDE)
        glow = dice.uniform(0.35, 1.0)
        sky[row, column] += glow * (np.asarray((250, 246, 228)) - sky[row, column])
    return sky


def _brick(dice: Dice) -> Pixels:
    rows = _ROWS + dice.below(8)
    course = np.floor(rows / 8)
    columns = _COLUMNS + dice.below(16) + 8 * (course % 2)
    joint = (rows % 8 < 1.5) | (columns % 16 < 1.5)
    tint = dice.grid(16, 16)[course.astype(int) % 16, np.floor(columns / 16).astype(int) % 16]
    wall = _mix((116, 62, 50), (168, 98, 78), np.clip(0.75 * tint + 0.25 * dice.grid(SIDE, SIDE), 0, 1))
    wall[joint] = (186, 176, 164)
    return wall


def _snow(dice: Dice) -> Pixels:
    drifts = _clouds(dice, 4)
    ground = _mix((188, 202, 222), (244, 247, 251), np.clip(0.15 + 1.1 * drifts, 0, 1))
    for _ in range(22):
        row, column = dice.below(SIDE - 1), dice.below(SIDE - 1)
        ground[row : row + 2, column : column + 2] = (253, 254, 255)
    return ground


_PAINTERS: Mapping[str, Callable[[Dice], Pixels]] = MappingProxyType(
    {"grass": _grass, "sand": _sand, "water": _water, "night": _night, "brick": _brick, "snow": _snow}
)


def paint_background(background: str, dice: Dice) -> Pixels:
    """Paint one background.

    Args:
        background: One of the six names.
        dice: Where its details come from.

    Returns:
        RGB of shape (64, 64, 3), from 0 to 255.

    Raises:
        KeyError: There is no such background.
    """
    return _PAINTERS[background](dice)
