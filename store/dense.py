"""A plain dense array on its way out of a store, and the blocks in which it goes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from math import prod
from typing import Any

import numpy as np

from .views import Array

BLOCK = 1 << 26
"""Bytes of one block: so much of an array, a few times over, is in memory at once."""
ROWS = 64
"""Positions along the first axis that are read and written together, as units keep them."""

Block = tuple[slice, ...]
"""A stretch of an array that is contiguous in C order: a slice for each axis."""


@dataclass(frozen=True, slots=True)
class Coordinate:
    """What stands beside an array: numbers or names along one of its axes, or a single one."""

    axis: str | None
    """The axis that it stands along; None for the position at which an axis was cut."""
    values: Array
    """Numbers, or objects that are `str` or None: as many as the axis is long."""

    @property
    def is_text(self) -> bool:
        """Whether its values are names."""
        return self.values.dtype.kind == "O"


@dataclass(frozen=True, slots=True)
class Dense:
    """What a plain copy of an array holds."""

    name: str
    """The name of the array: the view's."""
    dims: tuple[str, ...]
    """The names of its axes; no two are the same."""
    shape: tuple[int, ...]
    """The lengths of its axes."""
    dtype: np.dtype[Any]
    """Its data type."""
    coords: Mapping[str, Coordinate]
    """What stands beside it, by name."""
    attrs: Mapping[str, Any]
    """What it was made from, in words that JSON has."""
    absent: frozenset[int] = field(default_factory=frozenset)
    """Positions along the first axis that have no values: NaN, or null where a format has that."""

    @property
    def nbytes(self) -> int:
        """The bytes of its values."""
        return prod(self.shape) * self.dtype.itemsize

    @property
    def rows(self) -> int:
        """The length of its first axis; 1 where it has none."""
        return self.shape[0] if self.shape else 1

    def blocks(self) -> Iterator[Block]:
        """Cut it into blocks of at most `BLOCK` bytes; see `blocks`."""
        return blocks(self.shape, self.dtype.itemsize, BLOCK)


class Writer(ABC):
    """Takes the blocks of one array in C order, and writes them to a new file or folder."""

    @abstractmethod
    def write(self, block: Block, values: Array) -> None:
        """Take one block; `values` has the block's lengths, axes of length 1 included."""

    @abstractmethod
    def close(self) -> None:
        """Finish the file or folder."""

    @abstractmethod
    def abandon(self) -> None:
        """Let go of what is open, because the file or folder is given up."""


def blocks(shape: Sequence[int], itemsize: int, size: int) -> Iterator[Block]:
    """Cut an array into contiguous blocks of at most `size` bytes, in C order; the last axis is never cut.

    >>> [[(part.start, part.stop) for part in block] for block in blocks((3, 2), 1, 4)]
    [[(0, 2), (0, 2)], [(2, 3), (0, 2)]]
    """
    if not shape:
        yield ()
        return
    axis = 0
    while axis < len(shape) - 2 and prod(shape[axis + 1 :]) * itemsize > size:
        axis += 1
    most = max(1, size // (prod(shape[axis + 1 :]) * itemsize))
    step = most - most % ROWS if most >= ROWS else 1 << (most.bit_length() - 1)
    rest = tuple(slice(0, length) for length in shape[axis + 1 :])
    for before in product(*(range(length) for length in shape[:axis])):
        outer = tuple(slice(place, place + 1) for place in before)
        for start in range(0, shape[axis], step):
            yield (*outer, slice(start, min(start + step, shape[axis])), *rest)
