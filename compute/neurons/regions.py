"""Where a neuron looks: the bright regions of an activation map, as boxes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

from ...store.views import Array

Heat = Literal["positive", "wrapped"]
"""How a map becomes 8 bits: scaled by its largest value, or as the released code has it, modulo 256."""
Region = tuple[float, float, float, float]
"""Left, top, right and bottom, from 0 to 1 along each side of a map."""
SIDE = 224
"""Positions along each side of an enlarged map."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Which regions are kept."""

    most: int = 4
    """At most so many of a map."""
    overlap: float = 0.5
    """At most this intersection over union with one that is kept."""
    whole: float = 0.8
    """Less than this intersection over union with the whole map."""
    side: float = 0.125
    """At least this share of the map's side, both ways."""
    area: float = 0.01
    """At least this share of the map's area."""


def regions(
    values: Array, rules: Rules, heat: Heat = "positive", side: int = SIDE
) -> tuple[list[Region], float]:
    """Find the bright regions of a map "y x", largest first, and the threshold (Otsu 1979) that they pass.

    The threshold is a share of the map's brightest value. Of a map that is constant, or has one position,
    there is no region. Regions that lie within others are parts of these (the outer contours of the
    thresholded map), and of two that overlap too much the smaller goes (Describe-and-Dissect, section 3.1).
    """
    from scipy import ndimage
    from skimage.filters import threshold_otsu

    if min(values.shape) < 2 or not np.isfinite(values).all():
        return [], 0.0
    bright = _bits(values, heat)
    levels = _enlarged(bright, side, heat)
    if levels.min() == levels.max():
        return [], 0.0
    threshold = float(threshold_otsu(levels))
    filled = ndimage.binary_fill_holes(levels > threshold)
    labelled, _ = ndimage.label(filled, structure=np.ones((3, 3)))
    boxes = [_box(found) for found in ndimage.find_objects(labelled)]
    boxes.sort(key=lambda box: (-_area(box), box))
    kept: list[tuple[int, int, int, int]] = []
    for box in boxes:
        if len(kept) < rules.most and _fits(box, kept, rules, side):
            kept.append(box)
    return [(x0 / side, y0 / side, x1 / side, y1 / side) for x0, y0, x1, y1 in kept], threshold / 255


def _bits(values: Array, heat: Heat) -> Array:
    """Bring a map to brightness from 0 to 255."""
    if heat == "wrapped":
        wrapped: Array = np.trunc(values * 255).astype(np.int64) % 256
        return wrapped.astype(np.uint8)
    low = 0.0 if values.max() > 0 else float(values.min())
    span = float(values.max()) - low
    if not span:
        return np.zeros(values.shape)
    scaled: Array = 255 * np.clip(values - low, 0, None) / span
    return scaled


def _enlarged(bright: Array, side: int, heat: Heat) -> Array:
    """Enlarge a map of brightness to 8 bits "y x"; as the released code has it, by Pillow."""
    if heat == "wrapped":
        return np.asarray(Image.fromarray(bright).resize((side, side), Image.Resampling.BICUBIC))
    from skimage.transform import resize

    large = resize(bright.astype(np.float64), (side, side), order=3, preserve_range=True, anti_aliasing=False)
    levels: Array = np.clip(large, 0, 255).round().astype(np.uint8)
    return levels


def _box(found: tuple[slice, ...]) -> tuple[int, int, int, int]:
    rows, columns = found
    return columns.start, rows.start, columns.stop, rows.stop


def _area(box: tuple[int, int, int, int]) -> int:
    return (box[2] - box[0]) * (box[3] - box[1])


def _fits(
    box: tuple[int, int, int, int], kept: list[tuple[int, int, int, int]], rules: Rules, side: int
) -> bool:
    across, down = box[2] - box[0], box[3] - box[1]
    if min(across, down) < rules.side * side or across * down < rules.area * side * side:
        return False
    if across * down >= rules.whole * side * side:  # what is shared with the whole map is the region
        return False
    return all(_shared(box, other) <= rules.overlap for other in kept)


def _shared(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> float:
    """Give the intersection over union of two boxes."""
    across = min(one[2], other[2]) - max(one[0], other[0])
    down = min(one[3], other[3]) - max(one[1], other[1])
    both = max(0, across) * max(0, down)
    return both / (_area(one) + _area(other) - both)
