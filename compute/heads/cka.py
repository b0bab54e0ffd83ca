"""Linear centred kernel alignment between heads, from one pass over blocks of images.

Kornblith, Norouzi, Lee and Hinton, "Similarity of Neural Network Representations Revisited" (ICML 2019,
section 3): with X and Y what two heads write for the same images, "image joint", each centred over them,

    CKA = |X^T Y|_F^2 / (|X^T X|_F |Y^T Y|_F),

from 0 to 1, whatever rotation or scale tells the two spaces apart; the heads may be of models of different
widths. A head writes X = S M~^T with head_dim coordinates s~ (`compute/heads/moments.py`), so with R^2 =
M~^T M~ the rows R s~ have the same inner products, and a pair takes a matrix of head_dim x head_dim.

With few images that is biased upwards: any two of many random directions overlap. *Debiased*, each
|X^T Y|_F^2 is the unbiased estimator of the Hilbert-Schmidt independence criterion (Song, Smola, Gretton,
Bedo and Borgwardt, JMLR 2012, equation 5), which leaves each image's product with itself out. For centred
rows, with k and l the squares of the lengths of the n rows, it is up to a factor that cancels

    |X^T Y|_F^2 - n/(n-2) sum_i k_i l_i + sum_i k_i sum_i l_i / ((n-1)(n-2)).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .moments import Doubles, statistics

Floats = NDArray[np.floating[Any]]

NOISE = 1e-13
"""Share of a head's mean square below which its variance is taken for round-off."""


@dataclass(frozen=True, slots=True)
class Rows:
    """What turns s~ of the heads of a layer into centred rows with the inner products of contributions."""

    roots: Doubles
    """R, "head coordinate coordinate"."""
    means: Doubles
    """R mean(s~), "head coordinate"."""
    there: NDArray[np.bool_]
    """Whether a head writes differently for different images, "head"."""

    def of(self, written: Doubles) -> Doubles:
        """Give the rows of some images: "head image coordinate" to the same."""
        return written @ self.roots - self.means[:, None]


def rows_of(layer_moments: Doubles, joint_maps: Floats) -> Rows:
    """Take R and the means of a layer's heads, "head factor factor" and M~ "head joint coordinate"."""
    roots, means, there = [], [], []
    for moments_lh, joint_map in zip(layer_moments, joint_maps.astype(np.float64), strict=True):
        seen = statistics(moments_lh, joint_map.shape[1])
        gram = joint_map.T @ joint_map
        squares, vectors = np.linalg.eigh(gram)
        roots.append((vectors * np.sqrt(np.clip(squares, 0, None))) @ vectors.T)
        means.append(roots[-1] @ seen.mean)
        there.append(np.vdot(gram, seen.covariance) > NOISE * np.vdot(gram, seen.second))
    return Rows(np.stack(roots), np.stack(means), np.array(there))


class Alignment:
    """Sums over images of what the heads of a layer and those of another have in common."""

    def __init__(self) -> None:
        """Begin with no images."""
        self.images = 0
        self._sums: list[Doubles] = []

    def add(self, first: Doubles, second: Doubles) -> None:
        """Take the rows of some images, "head image coordinate" of each of the layers."""
        k, l = ((each**2).sum(axis=2) for each in (first, second))  # noqa: E741 - as the paper has it
        crossed = np.tensordot(first, second, axes=(1, 1))  # "head coordinate other_head other_coordinate"
        found = [
            crossed,
            first.transpose(0, 2, 1) @ first,
            second.transpose(0, 2, 1) @ second,
            *(k.sum(axis=1), l.sum(axis=1)),
            *(k @ l.T, (k**2).sum(axis=1), (l**2).sum(axis=1)),
        ]
        self._sums = [a + b for a, b in zip(self._sums, found, strict=True)] if self._sums else found
        self.images += first.shape[1]

    def scores(self, *, debiased: bool) -> Doubles:
        """Give the alignment of each pair, "head other_head"; NaN where it is not defined.

        That is where a head does not vary, and debiased for fewer than four images, or where an estimate of
        a head with itself is not positive.
        """
        crossed, own, other, k, l, products, own_squares, other_squares = self._sums  # noqa: E741
        both = (crossed**2).sum(axis=(1, 3))
        first, second = ((each**2).sum(axis=(1, 2)) for each in (own, other))
        if debiased:
            both = self._debiased(both, products, np.outer(k, l))
            first = self._debiased(first, own_squares, k**2)
            second = self._debiased(second, other_squares, l**2)
        scale = np.outer(first, second)
        good = (first > 0)[:, None] & (second > 0) & (scale > 0)
        return np.where(good, both / np.sqrt(np.where(good, scale, 1)), np.nan)

    def _debiased(self, squares: Doubles, products: Doubles, sums: Doubles) -> Doubles:
        n = self.images
        if n < 4:
            return np.full_like(squares, np.nan)
        found: Doubles = squares - n / (n - 2) * products + sums / ((n - 1) * (n - 2))
        return found
