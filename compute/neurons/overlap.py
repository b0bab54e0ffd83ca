"""Network Dissection: how far the places where a neuron is most active are those of a concept.

Bau, Zhou, Khosla, Oliva and Torralba, "Network Dissection: Quantifying Interpretability of Deep Visual
Representations" (CVPR 2017). For each neuron a threshold T is found that its activation exceeds at a share of
0.005 of all positions of all images, those aside at which preprocessing pads. Its map of an image is brought
to the size of the image's masks (bilinear) and cut at T; with M the masks of a concept,

    IoU = sum over images |map > T and M| / sum over images |map > T or M|.

So the maps are gone through twice: once for the thresholds, once for the sums.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Doubles = NDArray[np.float64]
Planes = NDArray[np.uint16]
Masks = NDArray[np.bool_]

OUTSIDE = 65_535
"""What stands in a plane where preprocessing padded, and there is no picture."""


def positions(maps: Floats) -> Floats:
    """Put every position of every image in a row: "image neuron y x" to "position neuron"."""
    return maps.transpose(0, 2, 3, 1).reshape(-1, maps.shape[1])


def within(planes: Planes, height: int, width: int) -> Masks:
    """Tell of which cells of a map the middle lies in the picture: "image y x"."""
    ys, xs = (
        ((np.arange(cells) + 0.5) * side / cells).astype(np.int64)
        for cells, side in zip((height, width), planes.shape[2:], strict=True)
    )
    found: Masks = planes[:, 0][:, ys[:, None], xs[None, :]] != OUTSIDE
    return found


def rank_of(share: float, count: int) -> int:
    """Give k such that a share of `count` numbers exceeds the k-th largest, if no two are equal."""
    return min(int(share * count) + 1, max(count, 1))


def enlarged(maps: Floats, height: int, width: int) -> Doubles:
    """Bring maps to another size by bilinear interpolation between the middles of their cells.

    "… y x" becomes "… height width"; beyond the outermost middles the outermost values go on.
    """
    rows, columns = _weights(maps.shape[-2], height), _weights(maps.shape[-1], width)
    found: Doubles = rows @ maps.astype(np.float64) @ columns.T
    return found


@cache
def _weights(cells: int, size: int) -> Doubles:
    """What each cell adds to each of the places into which a line is cut: "place cell"."""
    middles = (np.arange(size) + 0.5) * cells / size - 0.5
    return np.stack([np.interp(middles, np.arange(cells), unit) for unit in np.eye(cells)], axis=1)


class Overlap:
    """Adds up, while images stream by, where neurons are active, where concepts are, and where both.

    Enlarged maps are rounded to float32, so that where a map is level at its threshold it does not exceed it.
    """

    def __init__(self, thresholds: Doubles, concepts: int) -> None:
        """Begin with no image; `thresholds` is "neuron", values of float32."""
        self._thresholds = thresholds
        self._both = np.zeros((len(thresholds), concepts), np.int64)
        self._active = np.zeros(len(thresholds), np.int64)
        self.area = np.zeros(concepts, np.int64)
        """At how many places each concept is."""

    def add(self, maps: Floats, planes: Planes) -> None:
        """Take images by their maps "image neuron y x" and by what is where in them, "image plane y x".

        A plane has at each place the number of a concept, counted from 1, or 0 for none; no concept is in
        two planes of an image. Places that are `OUTSIDE` the picture do not count.
        """
        for image, each in zip(maps, planes, strict=True):
            lit = np.flatnonzero(image.max(axis=(1, 2)) > self._thresholds)  # no other place exceeds a map
            large = enlarged(image[lit], *each.shape[1:]).astype(np.float32)
            within = each[0] != OUTSIDE
            active = ((large > self._thresholds[lit, None, None]) & within).reshape(len(lit), within.size)
            some = np.setdiff1d(each, (0, OUTSIDE)).astype(np.int64) - 1
            there = (
                (each[None] == (some + 1)[:, None, None, None]).any(axis=1).reshape(len(some), within.size)
            )
            # counts within one image are exact in float32, in which products of matrices are fast
            both = active.astype(np.float32) @ there.T.astype(np.float32)
            self._both[np.ix_(lit, some)] += both.astype(np.int64)
            self._active[lit] += active.sum(axis=1)
            self.area[some] += there.sum(axis=1)

    def iou(self) -> Doubles:
        """Give intersection over union, "neuron concept"; 0 where there is neither."""
        union = self._active[:, None] + self.area - self._both
        found: Doubles = self._both / np.maximum(union, 1)
        return found
