"""Where a picture's pixels lie in what a model's preprocessing makes of it.

Preprocessing is a function of ours or of anybody's, so it is asked: a picture whose brightness rises from
left to right, and one from top to bottom, come out as the part of these slopes that is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from ...store.views import Array

if TYPE_CHECKING:
    from torch import Tensor

Box = tuple[int, int, int, int]
"""Left, top, right and bottom in pixels of a picture, the last two exclusive."""
STRAIGHT = 3.0
"""So many levels of brightness, of 255, may what comes out differ from a straight slope; or what a fifth of a
pixel makes of it, where few pixels show all of a side."""
FEWEST = 7
"""So many pixels along a side have to show the picture alone; fewer do not tell where it lies."""
MIXED = 0.02
"""By what share of what is usual from black to white a pixel differs that shows padding as well."""


@dataclass(frozen=True, slots=True)
class Window:
    """The part of a picture that a model sees, in pixels of the picture; it may reach beyond its edges."""

    left: float
    top: float
    right: float
    bottom: float

    def box(self, region: tuple[float, float, float, float], width: int, height: int) -> Box:
        """Give a region of the window, from 0 to 1 along each side, in pixels of the picture."""
        across, down = self.right - self.left, self.bottom - self.top
        xs = sorted((self.left + region[0] * across, self.left + region[2] * across))
        ys = sorted((self.top + region[1] * down, self.top + region[3] * down))
        return (
            max(0, int(np.floor(xs[0] + 0.5))),
            max(0, int(np.floor(ys[0] + 0.5))),
            min(width, int(np.floor(xs[1] + 0.5))),
            min(height, int(np.floor(ys[1] + 0.5))),
        )


class Windows:
    """The parts of pictures that a model's preprocessing keeps: it is asked once for each size."""

    def __init__(self, transform: Callable[[Image.Image], Tensor]) -> None:
        """Take the preprocessing."""
        self._transform = transform
        self._known: dict[tuple[int, int], Window | None] = {}

    def of(self, width: int, height: int) -> Window | None:
        """Find what is kept of pictures of a size, as `window` does."""
        if (width, height) not in self._known:
            self._known[width, height] = window(self._prepared, width, height)
        return self._known[width, height]

    def _prepared(self, picture: Image.Image) -> Array:
        return np.asarray(self._transform(picture).float().cpu().numpy())


def window(prepare: Callable[[Image.Image], Array], width: int, height: int) -> Window | None:
    """Find the part of pictures of a size that preprocessing keeps; None where it keeps no straight part.

    Args:
        prepare: The preprocessing: from a picture to an array "channel y x".
        width: Of the pictures, in pixels.
        height: Likewise.
    """
    black, white = (prepare(Image.new("RGB", (width, height), shade)) for shade in ("black", "white"))
    along = np.linspace(0, 255, width), np.linspace(0, 255, height)
    slopes = [
        np.broadcast_to(along[0][None, :], (height, width)),
        np.broadcast_to(along[1][:, None], (height, width)),
    ]
    ends: list[tuple[float, float]] = []
    for axis, slope, length in zip((1, 0), slopes, (width, height), strict=True):
        grey = Image.fromarray(np.stack([slope] * 3, axis=-1).round().astype(np.uint8))
        seen = _level(prepare(grey), black, white)
        found = _ends(seen if axis == 1 else seen.T, length)
        if found is None:
            return None
        ends.append(found)
    return Window(ends[0][0], ends[1][0], ends[0][1], ends[1][1])


def _level(seen: Array, black: Array, white: Array) -> Array:
    """Give brightness from 0 to 255, whatever preprocessing made of black and white; NaN where it padded.

    Pixels at the rim of a padding are left out: they mix both, and lie elsewhere than what they show.
    """
    span = (white - black).mean(axis=0)
    size = np.abs(span)
    usual = np.median(size[size >= size.max() / 2])
    there = (size > 1e-6) & (np.abs(size - usual) <= MIXED * usual)
    level: Array = np.full(span.shape, np.nan)
    level[there] = 255 * (seen - black).mean(axis=0)[there] / span[there]
    return level


def _ends(level: Array, length: int) -> tuple[float, float] | None:
    """Fit a line to what is seen of a slope along the last axis; say where it begins and ends in pixels."""
    there = np.flatnonzero(~np.isnan(level).all(axis=0))
    inner = there[len(there) // 8 : len(there) - len(there) // 8]
    if len(inner) < FEWEST or length < 2:
        return None
    usual = np.nanmedian(level[:, inner], axis=0)  # at the rim of a padding some are cut off at white
    spread = np.nanmedian(np.abs(level[:, inner] - usual), axis=0)
    gain, base = np.polyfit(inner + 0.5, usual, 1)
    bent = np.abs(gain * (inner + 0.5) + base - usual).max()
    if spread.max() > STRAIGHT or bent > max(STRAIGHT, abs(gain) / 5) or not gain:
        return None
    pixels = (length - 1) / 255  # the slope is 0 in the middle of the first pixel, 255 in that of the last
    return float(base * pixels + 0.5), float((gain * level.shape[1] + base) * pixels + 0.5)
