"""One line of the table of ratios."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Row:
    """A figure and its budget."""

    what: str
    """What was measured."""
    measured: float
    """The figure: a ratio, an error, or seconds where a budget is in seconds."""
    budget: float
    """What it must not exceed, or with `at_least` must reach."""
    unit: str = "×"
    """What the figure is in."""
    at_least: bool = False
    """Whether more is better."""

    @property
    def kept(self) -> bool:
        """Whether the budget is kept."""
        return self.measured >= self.budget if self.at_least else self.measured <= self.budget

    def __str__(self) -> str:
        sign = "≥" if self.at_least else "≤"
        figure, budget = (f"{value:.3g} {self.unit}".strip() for value in (self.measured, self.budget))
        return f"| {self.what} | {figure} | {sign} {budget} | {'kept' if self.kept else '**missed**'} |"


def seconds(call: Callable[[], object]) -> float:
    """Time one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def ratio(measured: Callable[[], object], against: Callable[[], object], rounds: int = 7) -> float:
    """Time two calls in turn, after one of each that is not counted; give the median of the pairs' ratios."""
    measured()
    against()
    pairs = [(seconds(measured), seconds(against)) for _ in range(rounds)]
    return median(one / other for one, other in pairs)
