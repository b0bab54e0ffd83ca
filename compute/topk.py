"""The largest entries of each column, found while the rows stream by."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Doubles = NDArray[np.float64]
Places = NDArray[np.int64]


class TopK:
    """The k largest values of each column, in float64, and their rows; of equal ones the first.

    Exact for finite values, ties and negative ones included. A row that is NaN in a column is no candidate
    there. Memory does not grow with the number of rows.
    """

    def __init__(self, columns: int, k: int) -> None:
        """Begin with no rows."""
        self._k = k
        self._values: Doubles = np.empty((columns, 0))
        self._rows: Places = np.empty((columns, 0), np.int64)

    def add(self, values: Floats, rows: Places) -> None:
        """Take rows "row column" with their numbers, all larger than those before.

        Numbers "row column" stand for rows that each column has by itself, of equal values the first first.
        """
        candidates = values.T.astype(np.float64, copy=False)
        column, place = np.nonzero(candidates > self._least()[:, None])
        if not len(column):
            return
        counts = np.bincount(column, minlength=len(candidates))
        behind = np.arange(len(column)) - np.repeat(np.cumsum(counts) - counts, counts)
        shape = (len(candidates), int(counts.max()))
        new, numbers = np.full(shape, np.nan), np.full(shape, -1, np.int64)
        new[column, behind] = candidates[column, place]
        numbers[column, behind] = rows[place] if rows.ndim == 1 else rows[place, column]
        joined = np.concatenate([self._values, new], axis=1)
        places = np.concatenate([self._rows, numbers], axis=1)
        order = np.argsort(-joined, axis=1, kind="stable")[:, : self._k]  # NaN sorts behind all numbers
        self._values = np.take_along_axis(joined, order, axis=1)
        self._rows = np.take_along_axis(places, order, axis=1)

    def _least(self) -> Doubles:
        """Give what a value of each column has to exceed: of equal ones the earlier row stays."""
        if self._values.shape[1] < self._k:
            return np.full(len(self._values), -np.inf)
        return np.nan_to_num(self._values[:, -1], nan=-np.inf, posinf=np.inf, neginf=-np.inf)

    def found(self) -> tuple[Places, Places, Doubles, Places]:
        """Give column, rank, value and row of all that were found, by column and rank."""
        there = ~np.isnan(self._values)
        columns, ranks = np.nonzero(there)
        return columns, ranks, self._values[there], self._rows[there]
