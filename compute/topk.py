"""The largest entries of each column, found while the rows stream by."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Places = NDArray[np.int64]


class TopK:
    """The k largest values of each column in float64, and their rows; of equal ones the first row's.

    Exact for any values that compare, negative and infinite ones included. A row that is NaN in a column is
    no candidate there. Memory does not grow with the number of rows.
    """

    def __init__(self, columns: int, k: int) -> None:
        """Begin with no rows."""
        self._k = k
        self._values: Floats = np.empty((columns, 0))
        self._rows: Places = np.empty((columns, 0), np.int64)

    def add(self, values: Floats, rows: Places) -> None:
        """Take rows "row column" with their numbers, all larger than those before."""
        there = ~np.isnan(values).all(axis=1)
        candidates, numbers = values[there].T, rows[there]
        if not len(numbers):
            return
        which = self._improved(candidates)
        joined = np.concatenate([self._values[which], candidates[which]], axis=1)
        shape = (len(joined), len(numbers))
        places = np.concatenate([self._rows[which], np.broadcast_to(numbers, shape)], axis=1)
        order = np.argsort(-joined, axis=1, kind="stable")[:, : self._k]  # NaN sorts behind all numbers
        width = min(self._k, self._values.shape[1] + len(numbers))
        if width > self._values.shape[1]:
            grow = ((0, 0), (0, width - self._values.shape[1]))
            self._values = np.pad(self._values, grow, constant_values=np.nan)
            self._rows = np.pad(self._rows, grow, constant_values=-1)
        self._values[which] = np.take_along_axis(joined, order, axis=1)[:, :width]
        self._rows[which] = np.take_along_axis(places, order, axis=1)[:, :width]

    def _improved(self, candidates: Floats) -> NDArray[np.bool_]:
        """Tell which columns have a candidate that could be among the largest."""
        if self._values.shape[1] < self._k:
            return np.ones(len(candidates), bool)
        least = self._values[:, -1]
        best = np.fmax.reduce(candidates, axis=1)
        improved: NDArray[np.bool_] = np.isnan(least) | (best > least)
        return improved

    def found(self) -> tuple[Places, Places, Floats, Places]:
        """Give column, rank, value and row of all that were found, by column and rank."""
        there = ~np.isnan(self._values)
        columns, ranks = np.nonzero(there)
        return columns, ranks, self._values[there], self._rows[there]
