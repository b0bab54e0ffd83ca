"""Random numbers that are a pure function of a key, on every machine and numpy release."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")


class Dice:
    """A stream of random numbers keyed by integers.

    Only the raw words of PCG64 are used: numpy promises these across releases, while it reserves the right
    to change the distributions of ``Generator``.
    """

    def __init__(self, *key: int) -> None:
        self._bits = np.random.PCG64(np.random.SeedSequence(key))

    def uniform(self, low: float, high: float) -> float:
        """Return a number in [low, high)."""
        word = int(self._bits.random_raw()) >> 11
        return low + (high - low) * (word / 2**53)

    def below(self, count: int) -> int:
        """Return an integer in 0 .. count - 1."""
        return int(self._bits.random_raw()) % count

    def pick(self, options: Sequence[T]) -> T:
        """Return one of the options, each equally likely."""
        return options[self.below(len(options))]

    def grid(self, *shape: int) -> NDArray[np.float64]:
        """Return an array of this shape with entries in {0, 1/255, …, 1}."""
        count = int(np.prod(shape))
        words = self._bits.random_raw((count + 7) // 8)
        octets = np.asarray(words, dtype="<u8").view(np.uint8)[:count]
        return octets.reshape(shape) / 255.0
