"""Maps of patches, stretched bilinearly over what a model sees or over the picture itself.

A map's entries stand in the middles of its patches, and beyond the outermost middles its border goes on: as
torch's `interpolate(mode="bilinear", align_corners=False)`. Numbers follow from one map alone, and what is
equal in it stays exactly equal, since ties count where maps are ranked.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from .geometry import Window

Maps = NDArray[np.floating[Any]]
Doubles = NDArray[np.float64]
Mask = NDArray[np.bool_]
Numbers = TypeVar("Numbers", NDArray[np.bool_], NDArray[np.uint16])


def over_input(maps: Maps, size: tuple[int, int]) -> Doubles:
    """Stretch maps "… y x" over what a model sees, to so many pixels, y before x."""
    down, across = ((np.arange(length) + 0.5) / length for length in size)
    return _along(_along(maps.astype(np.float64), down, -2), across, -1)


def over_picture(
    maps: Maps, seen: Window, width: int, height: int, shape: tuple[int, int] | None = None
) -> Doubles:
    """Stretch maps "… y x" over a picture of which a part is seen; NaN where the model does not look.

    `shape` is that of the answer, y before x: the picture's, unless it is to be shown larger or smaller.
    """
    rows, columns = shape or (height, width)
    ys = (_middles(rows, height) - seen.top) / (seen.bottom - seen.top)
    xs = (_middles(columns, width) - seen.left) / (seen.right - seen.left)
    stretched = _along(_along(maps.astype(np.float64), ys, -2), xs, -1)
    stretched[..., ~_within(ys)[:, None] | ~_within(xs)[None, :]] = np.nan
    return stretched


def at_input(mask: Numbers, seen: Window, size: tuple[int, int]) -> tuple[Numbers, Mask]:
    """Take a picture's mask "y x" to what a model sees, by the nearest pixel; tell where there is picture.

    Both answers have so many pixels, y before x; where preprocessing pads, there is no picture, and 0.
    """
    height, width = mask.shape
    ys, xs = (
        np.floor(start + (np.arange(length) + 0.5) / length * (stop - start)).astype(np.int64)
        for length, start, stop in ((size[0], seen.top, seen.bottom), (size[1], seen.left, seen.right))
    )
    there = ((ys >= 0) & (ys < height))[:, None] & ((xs >= 0) & (xs < width))[None, :]
    found = mask[np.clip(ys, 0, height - 1)[:, None], np.clip(xs, 0, width - 1)[None, :]]
    return np.where(there, found, np.zeros((), found.dtype)), there


def _middles(count: int, length: int) -> Doubles:
    """Give the middles of so many pixels along a picture's side, in pixels of the picture."""
    middles: Doubles = (np.arange(count, dtype=np.float64) + 0.5) * (length / count)
    return middles


def _within(places: Doubles) -> Mask:
    within: Mask = (places >= 0) & (places < 1)
    return within


def _along(maps: Doubles, places: Doubles, axis: int) -> Doubles:
    """Interpolate along an axis at places from 0 to 1; equal numbers give exactly equal ones."""
    patches = maps.shape[axis]
    at = np.clip(places * patches - 0.5, 0, patches - 1)
    first = np.floor(at).astype(np.int64)
    rest = np.expand_dims(at - first, -1) if axis == -2 else at - first
    one, two = (np.take(maps, each, axis=axis) for each in (first, np.minimum(first + 1, patches - 1)))
    found: Doubles = one + (two - one) * rest
    return found
