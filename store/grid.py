"""Chunk arithmetic: which blocks of an axis a selection touches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Grid:
    """An axis cut into blocks of equal length, the last one as long as what is left.

    >>> list(Grid(length=10, block=4))
    [(0, 4), (4, 8), (8, 10)]
    """

    length: int
    """How many positions the axis has."""
    block: int
    """How many positions a full block has."""

    def __len__(self) -> int:
        return -(-self.length // self.block)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return (self.span(index) for index in range(len(self)))

    def span(self, index: int) -> tuple[int, int]:
        """Give the first position of a block and the one after its last."""
        return index * self.block, min((index + 1) * self.block, self.length)

    def touched(self, positions: Sequence[int] | range) -> list[int]:
        """List the blocks in which any of these positions (each in `range(length)`) lies.

        >>> Grid(length=10, block=4).touched([9, 0, 1])
        [0, 2]
        """
        if isinstance(positions, range):
            if not positions:
                return []
            low, high = sorted((positions[0], positions[-1]))
            if abs(positions.step) <= self.block:
                return list(range(low // self.block, high // self.block + 1))
        return sorted({position // self.block for position in positions})
