"""How a scene becomes pixels: background, shadows, patterned shapes, noise."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from .backgrounds import SIDE, paint_background
from .dice import Dice
from .shapes import Mask, Plane, inside

_FINE = 4
"""Samples along each side of a pixel."""

RGB: Mapping[str, tuple[int, int, int]] = MappingProxyType(
    {
        "red": (226, 32, 38),
        "orange": (250, 138, 20),
        "yellow": (250, 222, 40),
        "green": (24, 190, 80),
        "blue": (36, 84, 236),
        "purple": (138, 44, 196),
        "pink": (255, 128, 186),
        "white": (250, 250, 250),
    }
)
"""The colours of things."""


@dataclass(frozen=True, slots=True)
class Thing:
    """One thing of a scene."""

    x: float
    """Centre, in pixels from the left."""
    y: float
    """Centre, in pixels from the top."""
    radius: float
    """Half the side of the square that the shape fills, in pixels."""
    tilt: float
    """Tangent of half the angle by which it is turned."""
    phase: tuple[float, float]
    """Where its pattern starts, in periods."""


def _frame(thing: Thing) -> tuple[slice, slice]:
    """Return the rows and columns that a thing can touch."""
    reach = 1.25 * thing.radius + 1
    top, left = max(int(thing.y - reach), 0), max(int(thing.x - reach), 0)
    bottom, right = min(int(thing.y + reach) + 1, SIDE), min(int(thing.x + reach) + 1, SIDE)
    return slice(top, bottom), slice(left, right)


def _local(thing: Thing, rows: slice, columns: slice) -> tuple[Plane, Plane]:
    """Return the coordinates of fine samples in the thing's own axes, where its square is -1 to 1."""
    x = (np.arange(columns.start * _FINE, columns.stop * _FINE) + 0.5) / _FINE - thing.x
    y = thing.y - (np.arange(rows.start * _FINE, rows.stop * _FINE) + 0.5) / _FINE
    square = thing.tilt * thing.tilt
    cosine, sine = (1 - square) / (1 + square), 2 * thing.tilt / (1 + square)
    across, up = x[None, :] / thing.radius, y[:, None] / thing.radius
    return across * cosine + up * sine, up * cosine - across * sine


def _coarse(fine: Mask) -> NDArray[np.float64]:
    """Return the share of each pixel that fine samples cover: (4 h, 4 w) becomes (h, w)."""
    count = np.zeros((fine.shape[0] // _FINE, fine.shape[1] // _FINE))
    for down in range(_FINE):
        for right in range(_FINE):
            count += fine[down::_FINE, right::_FINE]
    return count / _FINE**2


def _pattern(texture: str, u: Plane, v: Plane, phase: tuple[float, float]) -> Mask:
    """Tell where the second tone of a texture lies."""
    if texture == "plain":
        return np.zeros(u.shape, dtype=bool)
    if texture == "striped":
        along = (u + v) / 0.62 + phase[0]
        return along - np.floor(along) < 0.5
    if texture == "checked":
        column, row = np.floor(u / 0.36 + phase[0]), np.floor(v / 0.36 + phase[1])
        return (column + row) % 2 < 1
    column, row = u / 0.5 + phase[0], v / 0.5 + phase[1]
    column = column + 0.5 * (np.floor(row) % 2)
    across, up = column - np.floor(column) - 0.5, row - np.floor(row) - 0.5
    return across * across + up * up < 0.31**2


def _edge(body: Mask, width: int) -> Mask:
    """Return the samples of a body that lie within `width` samples of its outside."""
    core = np.pad(body, width)
    height, length = body.shape
    inner = body.copy()
    for down in (0, width, 2 * width):
        for right in (0, width, 2 * width):
            inner &= core[down : down + height, right : right + length]
    return body & ~inner


def _tones(colour: str) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the first tone, the second tone and the outline of a colour."""
    first = np.asarray(RGB[colour], dtype=np.float64)
    return first, 0.42 * first, 0.28 * first


def coverage(shape: str, thing: Thing) -> NDArray[np.float64]:
    """Return the share of each pixel that a thing covers, shape (64, 64)."""
    rows, columns = _frame(thing)
    full = np.zeros((SIDE, SIDE))
    full[rows, columns] = _coarse(inside(shape, *_local(thing, rows, columns)))
    return full


def _shade(canvas: NDArray[np.float64], cover: NDArray[np.float64]) -> None:
    """Darken the canvas below and to the right of what covers it."""
    for shift in (1, 2):
        canvas[shift:, shift:] *= 1 - 0.22 * cover[:-shift, :-shift, None]


def _draw(canvas: NDArray[np.float64], shape: str, colour: str, texture: str, thing: Thing) -> None:
    """Draw one thing over the canvas."""
    rows, columns = _frame(thing)
    part = canvas[rows, columns]
    u, v = _local(thing, rows, columns)
    body = inside(shape, u, v)
    edge = _edge(body, 3)
    inked = _pattern(texture, u, v, thing.phase) & body & ~edge
    share, edged, patterned = _coarse(body)[..., None], _coarse(edge)[..., None], _coarse(inked)[..., None]
    first, second, outline = _tones(colour)
    tones = (share - edged - patterned) * first + patterned * second + edged * outline
    _shade(part, share[..., 0])
    part *= 1 - share
    part += tones * (1 + 0.06 * v[2::_FINE, 2::_FINE, None])


def paint(
    shape: str, colour: str, texture: str, background: str, things: tuple[Thing, ...], dice: Dice
) -> NDArray[np.uint8]:
    """Paint a scene.

    Args:
        shape: The shape of all its things.
        colour: Their colour.
        texture: Their texture.
        background: What they stand on.
        things: Where they stand.
        dice: Details of the background and the noise of the camera.

    Returns:
        RGB of shape (64, 64, 3).
    """
    canvas = paint_background(background, dice)
    for thing in things:
        _draw(canvas, shape, colour, texture, thing)
    noise = dice.grid(SIDE, SIDE, 3) + dice.grid(SIDE, SIDE, 3) - 1
    return np.clip(np.rint(canvas + 12 * noise), 0, 255).astype(np.uint8)
