"""What is known of a neuron from its activations alone, and whether it can be labelled by them.

A neuron that is zero for every image, or the same for every image, tells nothing apart, and a label of it
would be a label of whichever images come first. The same holds for the most part where few images excite a
neuron at all: of ten images "at its top" seven may be any of those for which it is zero. So

    dead        zero for all images
    constant    the same for all images, up to the rounding of float32
    tied        more images than are left to choose share the k-th largest value, and fewer than half of the
                k stand above it: the choice of the others is arbitrary
    ok          anything else
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..largest import Counts, Doubles, Floats, Largest

State = Literal["ok", "dead", "constant", "tied"]

ROUNDING = 1e-6
"""Share of a neuron's largest magnitude within which all its activations are taken for one number."""


@dataclass(frozen=True, slots=True)
class Known:
    """The statistics of some neurons; all of it is "neuron"."""

    count: Counts
    """Images that could be read."""
    mean: Doubles
    """Mean activation; NaN without an image, as are the next four."""
    std: Doubles
    """Standard deviation over these images (their number is the divisor)."""
    minimum: Doubles
    """The smallest activation."""
    maximum: Doubles
    """The largest activation."""
    nonzero: Doubles
    """Share of the images for which it is not zero."""
    above: Counts
    """Images above the k-th largest activation."""
    ties: Counts
    """Images that share the k-th largest activation, or the smallest where images are fewer than k."""
    k: int
    """What k is."""

    @property
    def states(self) -> list[State]:
        """Judge each neuron."""
        return [self._state(neuron) for neuron in range(len(self.count))]

    def _state(self, neuron: int) -> State:
        low, high = float(self.minimum[neuron]), float(self.maximum[neuron])
        if low == high == 0:
            return "dead"
        if not high - low > ROUNDING * max(abs(low), abs(high)):  # no image at all included
            return "constant"
        top = min(self.k, int(self.count[neuron]))
        above = int(self.above[neuron])
        arbitrary = above + int(self.ties[neuron]) > top
        return "tied" if arbitrary and 2 * above < top else "ok"


class NeuronState:
    """Gathers the statistics of neurons while blocks of images stream by; merges with others of its kind."""

    def __init__(self, neurons: int, k: int) -> None:
        """Begin with no image; ties are counted at the k-th largest activation."""
        self._k = k
        self._count = np.zeros(neurons)
        self._mean, self._squares, self._nonzero = (np.zeros(neurons) for _ in range(3))
        self._low, self._high = np.full(neurons, np.inf), np.full(neurons, -np.inf)
        self._largest = Largest(neurons, k)

    def add(self, values: Floats) -> None:
        """Take activations "image neuron"; NaN for an image that could not be read."""
        there = ~np.isnan(values)
        known = np.where(there, values, 0).astype(np.float64)
        count = there.sum(axis=0).astype(np.float64)
        mean = known.sum(axis=0) / np.maximum(count, 1)
        squares = (np.where(there, known - mean, 0) ** 2).sum(axis=0)
        self._moments(count, mean, squares)
        self._nonzero += (known != 0).sum(axis=0)
        self._low = np.minimum(self._low, np.where(there, values, np.inf).min(axis=0, initial=np.inf))
        self._high = np.maximum(self._high, np.where(there, values, -np.inf).max(axis=0, initial=-np.inf))
        self._largest.add(values)

    def merge(self, other: NeuronState) -> None:
        """Take the images that another has seen, which must be different images."""
        self._moments(other._count, other._mean, other._squares)
        self._nonzero += other._nonzero
        self._low = np.minimum(self._low, other._low)
        self._high = np.maximum(self._high, other._high)
        self._largest.merge(other._largest)

    def _moments(self, count: Doubles, mean: Doubles, squares: Doubles) -> None:
        """Join counts, means and sums of squared deviations (Chan, Golub and LeVeque 1983)."""
        whole = np.maximum(self._count + count, 1)
        apart = mean - self._mean
        self._squares = self._squares + squares + apart**2 * (self._count * count / whole)
        self._mean = self._mean + apart * (count / whole)
        self._count = self._count + count

    def found(self) -> Known:
        """Give what the images so far say."""
        seen = self._count > 0
        whole = np.maximum(self._count, 1)
        return Known(
            count=self._count.astype(np.int64),
            mean=_where(seen, self._mean),
            std=_where(seen, np.sqrt(self._squares / whole)),
            minimum=_where(seen, self._low),
            maximum=_where(seen, self._high),
            nonzero=_where(seen, self._nonzero / whole),
            above=self._largest.above,
            ties=self._largest.ties,
            k=self._k,
        )


def _where(seen: NDArray[np.bool_], values: NDArray[Any]) -> Doubles:
    """Put NaN where nothing was seen."""
    found: Doubles = np.where(seen, values, np.nan)
    return found
