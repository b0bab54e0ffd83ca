"""The largest values of each column while rows stream by, and how far their choice is arbitrary."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Doubles = NDArray[np.float64]
Counts = NDArray[np.int64]


class Largest:
    """The k largest values of each column, and how many rows share the least of them.

    Exact, ties included, in whatever order the rows come and however they are cut into blocks. A row that is
    NaN in a column does not count there. Memory does not grow with the number of rows.
    """

    def __init__(self, columns: int, k: int) -> None:
        """Begin with no rows."""
        self._k = k
        self._kept: Doubles = np.full((columns, k), -np.inf)
        self._left_out: Counts = np.zeros(columns, np.int64)

    def add(self, values: Floats) -> None:
        """Take rows "row column", infinities excluded."""
        new = np.where(np.isnan(values), -np.inf, values).T.astype(np.float64)
        self._join(new, np.zeros(len(new), np.int64))

    def merge(self, other: Largest) -> None:
        """Take the rows that another has seen, which must be different rows."""
        self._join(other._kept, other._left_out)

    def _join(self, values: Doubles, left_out: Counts) -> None:
        """Add values "column value", and how many more equal to the least of them were seen before."""
        before, theirs = self._kept[:, 0], values.min(axis=1, initial=np.inf)
        both = np.concatenate([self._kept, values], axis=1)
        cut = both.shape[1] - self._k
        both.partition(cut, axis=1)
        least = both[:, cut]
        extra = (both[:, :cut] == least[:, None]).sum(axis=1)
        self._left_out = extra + self._left_out * (before == least) + left_out * (theirs == least)
        self._kept = both[:, cut:]

    @property
    def values(self) -> Doubles:
        """The values, "column rank", from the largest down; -inf where rows are fewer."""
        return -np.sort(-self._kept, axis=1)

    @property
    def least(self) -> Doubles:
        """The k-th largest value of each column, or the smallest where rows are fewer; inf without any."""
        found: Doubles = np.where(np.isneginf(self._kept), np.inf, self._kept).min(axis=1, initial=np.inf)
        return found

    @property
    def above(self) -> Counts:
        """How many rows exceed the least value that is kept: those that are there without any choice."""
        found: Counts = (self._kept > self.least[:, None]).sum(axis=1)
        return found

    @property
    def ties(self) -> Counts:
        """How many rows have that least value, kept or not."""
        least = self.least
        left_out = self._left_out * (self._kept[:, 0] == least)
        found: Counts = (self._kept == least[:, None]).sum(axis=1) + left_out
        return found
