"""Maps of patches, stretched bilinearly over what a model sees or over the picture itself.

A map's entries stand in the middles of its patches, and beyond the outermost middles its border goes on: as
torch's `interpolate(mode="bilinear", align_corners=False)`. Numbers follow from one map alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .geometry import Window

Maps = NDArray[np.floating[Any]]
Doubles = NDArray[np.float64]
Mask = NDArray[np.bool_]


def over_input(maps: Maps, size: tuple[int, int]) -> Doubles:
    """Stretch maps "… y x" over what a model sees, to so many pixels, y before x."""
    down, across = (
        _weights((np.arange(length) + 0.5) / length, patches)
        for length, patches in zip(size, maps.shape[-2:], strict=True)
    )
    stretched: Doubles = down @ maps.astype(np.float64) @ across.T
    return stretched


def over_picture(
    maps: Maps, seen: Window, width: int, height: int, shape: tuple[int, int] | None = None
) -> Doubles:
    """Stretch maps "… y x" over a picture of which a part is seen; NaN where the model does not look.

    `shape` is that of the answer, y before x: the picture's, unless it is to be shown larger or smaller.
    """
    rows, columns = shape or (height, width)
    ys = (_middles(rows, height) - seen.top) / (seen.bottom - seen.top)
    xs = (_middles(columns, width) - seen.left) / (seen.right - seen.left)
    of_rows, of_columns = _weights(ys, maps.shape[-2]), _weights(xs, maps.shape[-1])
    stretched: Doubles = of_rows @ maps.astype(np.float64) @ of_columns.T
    stretched[..., ~_within(ys)[:, None] | ~_within(xs)[None, :]] = np.nan
    return stretched


def at_input(mask: Mask, seen: Window, size: tuple[int, int]) -> tuple[Mask, Mask]:
    """Take a picture's mask "y x" to what a model sees, by the nearest pixel; tell where there is picture.

    Both answers have so many pixels, y before x; where preprocessing pads, there is no picture.
    """
    height, width = mask.shape
    ys, xs = (
        np.floor(start + (np.arange(length) + 0.5) / length * (stop - start)).astype(np.int64)
        for length, start, stop in ((size[0], seen.top, seen.bottom), (size[1], seen.left, seen.right))
    )
    there = ((ys >= 0) & (ys < height))[:, None] & ((xs >= 0) & (xs < width))[None, :]
    found = mask[np.clip(ys, 0, height - 1)[:, None], np.clip(xs, 0, width - 1)[None, :]]
    return found & there, there


def _middles(count: int, length: int) -> Doubles:
    """Give the middles of so many pixels along a picture's side, in pixels of the picture."""
    middles: Doubles = (np.arange(count, dtype=np.float64) + 0.5) * (length / count)
    return middles


def _within(places: Doubles) -> Mask:
    within: Mask = (places >= 0) & (places < 1)
    return within


def _weights(places: Doubles, patches: int) -> Doubles:
    """Say how much of each patch stands at places from 0 to 1 along a side, "place patch"."""
    at = np.clip(places * patches - 0.5, 0, patches - 1)
    first = np.floor(at).astype(np.int64)
    rest = at - first
    weights = np.zeros((len(places), patches))
    rows = np.arange(len(places))
    weights[rows, first] = 1 - rest
    weights[rows, np.minimum(first + 1, patches - 1)] += rest
    return weights
