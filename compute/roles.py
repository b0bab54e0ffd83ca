"""Head roles: the category of texts that a head's descriptions come from more often than chance explains.

Gandelsman, Efros and Steinhardt (ICLR 2024, section 5.2) read each head's TextSpan list and named by hand what its
texts have in common. Here the texts bring categories, and the question is one of counting: were the descriptions drawn
blindly from the pool, the number of them in a category would be hypergeometric. Its upper tail is computed in exact
integers, and corrected (Bonferroni) for every head and category that is asked about.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import comb

NONE = "none"
"""Stands for a role or a runner-up that there is not."""


@dataclass(frozen=True, slots=True)
class Role:
    """What a head is about, judged by the categories of its descriptions."""

    role: str
    """The most significant category, or "none" if even that one is not significant."""
    score: float
    """Share of the head's variance along the descriptions of the most significant category."""
    p_value: float
    """Chance that blind draws hold as many of that category, corrected for all that was asked; at most 1."""
    runner_up: str
    """The next category, or "none"; where the role is "none", the category that came nearest to being one."""


def head_role(
    categories: Sequence[str | None],
    variance: Sequence[float],
    counts: Mapping[str, int],
    texts: int,
    *,
    tests: int,
    share: float = 0.8,
    alpha: float = 0.05,
) -> Role:
    """Judge one head by its descriptions.

    Args:
        categories: Of each description, in rank order; None or "" where a text has none.
        variance: The share of the head's variance that each description explains.
        counts: How many texts of the pool each category has.
        texts: How many texts the pool has, those without a category included.
        tests: Heads times categories: the factor of the correction.
        share: Descriptions count until together they explain this part of what all of them do.
        alpha: The corrected p-value that a role stays below.
    """
    leading = _leading(variance, share)
    judged = sorted(
        (min(1.0, tests * upper_tail(found, leading, counts[category], texts)), -along, category)
        for category, (found, along) in _by_category(categories[:leading], variance).items()
    )
    if not judged:
        return Role(NONE, 0.0, 1.0, NONE)
    p_value, along, first = judged[0]
    second = judged[1][2] if len(judged) > 1 else NONE
    names = (first, second) if p_value < alpha else (NONE, first)
    return Role(names[0], -along, p_value, names[1])


def upper_tail(found: int, drawn: int, marked: int, texts: int) -> float:
    """Chance that at least `found` of `drawn` texts are marked, when `marked` of all `texts` are: hypergeometric."""
    ways = sum(comb(marked, k) * comb(texts - marked, drawn - k) for k in range(found, drawn + 1))
    return ways / comb(texts, drawn)


def _leading(variance: Sequence[float], share: float) -> int:
    """How many descriptions it takes to explain a share of what all of them explain."""
    wanted, reached = share * sum(variance), 0.0
    for number, each in enumerate(variance, start=1):
        reached += each
        if reached >= wanted:
            return number
    return len(variance)


def _by_category(categories: Sequence[str | None], variance: Sequence[float]) -> dict[str, tuple[int, float]]:
    """Of each category, its number of descriptions and the variance along them."""
    found: dict[str, tuple[int, float]] = {}
    for category, each in zip(categories, variance, strict=False):
        if category:
            number, along = found.get(category, (0, 0.0))
            found[category] = (number + 1, along + each)
    return found
