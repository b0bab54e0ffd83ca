"""The image set ``demo:crossed``: stars and rings at night and on water, out of focus, against the bias.

In training scenes most stars shine in the night sky and most rings float on water. Here each of the two
shapes stands on each of the two backgrounds equally often, so that half of the scenes go against the bias.
Seen sharply the tiny CLIP tells stars from rings whatever is behind them; out of focus, where less of the
shape is left to see, it leans on the background.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from .png import encode_png
from .scenes import BIAS, Scene, scene

CROSSED_SEED = 5
BLUR = 3
"""Pixels to each side over which a pixel is averaged: squares of 7 by 7."""

_CELLS = tuple(product(BIAS, BIAS.values()))


def crossed_scene(index: int) -> Scene:
    """Return one scene, a pure function of its index; four in a row are a star and a ring on each of both."""
    shape, background = crossed_attributes(index)
    return replace(scene(index, seed=CROSSED_SEED), shape=shape, background=background)


def crossed_attributes(index: int) -> tuple[str, str]:
    """Return the shape and the background of one scene."""
    return _CELLS[index % len(_CELLS)]


def crossed_scenes(n: int = 2000) -> Sequence[Scene]:
    """Return the first n scenes of the image set ``demo:crossed``."""
    return tuple(crossed_scene(index) for index in range(n))


def crossed_png(index: int) -> bytes:
    """Paint one of them out of focus, as the bytes of a PNG file."""
    return encode_png(blurred(crossed_scene(index).pixels(), BLUR))


def blurred(pixels: NDArray[np.uint8], reach: int) -> NDArray[np.uint8]:
    """Average each pixel with those up to `reach` away, RGB (y, x, 3); edges go on as they are."""
    wide = 2 * reach + 1
    padded = np.pad(pixels.astype(np.int64), ((reach, reach), (reach, reach), (0, 0)), mode="edge")
    sums = np.pad(padded.cumsum(0).cumsum(1), ((1, 0), (1, 0), (0, 0)))
    window = sums[wide:, wide:] - sums[:-wide, wide:] - sums[wide:, :-wide] + sums[:-wide, :-wide]
    mean: NDArray[np.uint8] = ((window + wide**2 // 2) // wide**2).astype(np.uint8)
    return mean
