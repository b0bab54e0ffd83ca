"""A linear map between two spaces from sums over pairs of points: ridge regression with an offset."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]


class Fit:
    """Sums over pairs of points, whatever their number; memory grows with the widths alone."""

    def __init__(self, width: int, other: int) -> None:
        """Have seen no pair of points of these widths."""
        self.size = (width, other)
        """The widths."""
        self.count = 0
        """How many pairs were added."""
        self._sums: list[Doubles] = [np.zeros(width), np.zeros(other)]
        self._square, self._cross = np.zeros((width, width)), np.zeros((width, other))

    def add(self, first: NDArray[Any], second: NDArray[Any]) -> None:
        """Add pairs of points, "pair coordinate" each."""
        self.count += len(first)
        for total, points in zip(self._sums, (first, second), strict=True):
            total += points.sum(axis=0)
        self._square += first.T @ first
        self._cross += first.T @ second

    def solve(self, ridge: float) -> tuple[Doubles, Doubles]:
        """Give W, "other width", and b, "other", of second ~ W first + b.

        `ridge` is added to the variances of the first points, as a share of their mean: the offset is free.
        """
        means = [total / self.count for total in self._sums]
        covariance = self._square / self.count - np.outer(means[0], means[0])
        cross = self._cross / self.count - np.outer(means[0], means[1])
        covariance += np.eye(len(covariance)) * ridge * np.trace(covariance) / len(covariance)
        solved = np.linalg.lstsq(covariance, cross, rcond=None)[0]
        weights = np.asarray(solved.T, np.float64)
        return weights, means[1] - weights @ means[0]

    def tried(
        self, weights: Doubles, bias: Doubles, pairs: Sequence[tuple[NDArray[Any], NDArray[Any]]]
    ) -> tuple[Doubles, float]:
        """Give r2 of each coordinate of the second points, and their mean cosine with what the map gives.

        r2 is 1 less the squared error over the variance around these points' own mean; not a number where
        they do not vary.
        """
        second = np.concatenate([each for _, each in pairs])
        mapped = np.concatenate([each @ weights.T + bias for each, _ in pairs])
        left = np.square(second - mapped).sum(axis=0)
        whole = np.square(second - second.mean(axis=0)).sum(axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            r2: Doubles = np.where(whole > 0, 1 - left / whole, np.nan)
            lengths = np.linalg.norm(second, axis=1) * np.linalg.norm(mapped, axis=1)
            cosines = (second * mapped).sum(axis=1) / lengths
        return r2, float(cosines.mean())
