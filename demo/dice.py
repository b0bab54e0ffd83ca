"""Random numbers that are a pure function of a key, on every machine and numpy release."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")
_TOGETHER = 64
"""Words drawn at a time: one by one they take five times as long."""


class Dice:
    """A stream of random numbers keyed by integers.

    Only the raw words of PCG64 are used: numpy promises these across releases, while it reserves the right
    to change the distributions of ``Generator``.
    """

    def __init__(self, *key: int) -> None:
        self._bits = np.random.PCG64(np.random.SeedSequence(key))
        self._ahead: list[int] = []
        """Words that were drawn together and are not used yet, the next one last."""

    def _look_ahead(self, count: int) -> None:
        while len(self._ahead) < count:
            self._ahead = self._bits.random_raw(_TOGETHER).tolist()[::-1] + self._ahead

    def _word(self) -> int:
        self._look_ahead(1)
        return self._ahead.pop()

    def uniform(self, low: float, high: float) -> float:
        """Return a number in [low, high)."""
        return low + (high - low) * ((self._word() >> 11) / 2**53)

    def units(self, count: int) -> list[float]:
        """Return numbers in [0, 1): what as many calls of `uniform(0, 1)` return, in a third of the time."""
        self._look_ahead(count)
        rest = len(self._ahead) - count
        words = self._ahead[rest:]
        del self._ahead[rest:]
        return [(word >> 11) / 2**53 for word in reversed(words)]

    def below(self, count: int) -> int:
        """Return an integer in 0 .. count - 1."""
        return self._word() % count

    def pick(self, options: Sequence[T]) -> T:
        """Return one of the options, each equally likely."""
        return options[self.below(len(options))]

    def grid(self, *shape: int) -> NDArray[np.float64]:
        """Return an array of this shape with entries in {0, 1/255, …, 1}."""
        count = int(np.prod(shape))
        wanted = (count + 7) // 8
        first = [self._ahead.pop() for _ in range(min(wanted, len(self._ahead)))]
        words = np.concatenate(
            [np.array(first, np.uint64), self._bits.random_raw(wanted - len(first))], dtype=np.uint64
        )
        octets = np.asarray(words, dtype="<u8").view(np.uint8)[:count]
        return octets.reshape(shape) / 255.0
