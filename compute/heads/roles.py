"""Head roles: the category that the texts describing a head come from more often than chance explains.

Gandelsman, Efros and Steinhardt (ICLR 2024, section 4) read each head's TextSpan list and named by hand
what its texts have in common. Here texts bring a category, and the question is one of counting: if the
texts that describe a head were drawn blindly from the pool, the number of them in a category would be
hypergeometric. Its upper tail is taken in exact integers, and corrected (Bonferroni) for every head and
category that is asked about.

Which texts describe a head? A list of TextSpan is short by design: what a text explains is taken out with it,
so that its synonyms are never chosen. A head that tells eight colours apart is exhausted by some seven texts,
too few to be sure of anything among hundreds of heads. But that their rivals were texts about colour, too, is
evidence. So each chosen text counts together with those that would have done nearly as well in its place, for
as many choices as it takes to explain most of the head.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import comb

from .textspan import Picks

NONE = "none"
"""Stands for a role or a runner-up that there is not."""


@dataclass(frozen=True, slots=True)
class Role:
    """What a head is about, judged by the categories of its texts."""

    role: str
    """The category with the most variance among those that are significant, or "none" where none is."""
    score: float
    """Share of the head's variance along the chosen texts of that category, or of the nearest to one."""
    p_value: float
    """Chance of as many of its texts in a blind draw, corrected for all that was asked; at most 1."""
    runner_up: str
    """The next category, or "none"; where the role is "none", the category that came nearest to being one."""


def role_of(
    picks: Picks,
    categories: Sequence[str | None],
    *,
    tests: int,
    share: float,
    alpha: float,
) -> Role:
    """Judge one head by the texts that TextSpan chose and by their rivals.

    Args:
        picks: What was chosen for the head.
        categories: Of each text of the pool, by row; None or "" where a text has none.
        tests: Heads times categories: the factor of the correction.
        share: Choices count until together they explain this part of the head's variance.
        alpha: What the corrected p-value of a role stays below.
    """
    leading = _leading(picks.cumulative_variance.tolist(), share)
    described = {int(row) for rivals in picks.rivals[:leading] for row in rivals}
    chosen = [categories[row] for row in picks.text[:leading]]
    found = Counter(category for row in described if (category := categories[row]))
    return _most_significant(
        found,
        len(described),
        _along(chosen, picks.variance.tolist()),
        Counter(category for category in categories if category),
        len(categories),
        tests=tests,
        alpha=alpha,
    )


def upper_tail(found: int, drawn: int, marked: int, texts: int) -> float:
    """Chance that at least `found` of `drawn` texts are among the `marked` of all `texts`: hypergeometric."""
    others = texts - marked
    least, most = max(found, drawn - others), min(drawn, marked)
    ways = comb(marked, least) * comb(others, drawn - least)
    total = 0
    for k in range(least, most + 1):
        total += ways
        ways = ways * (marked - k) * (drawn - k) // ((k + 1) * (others - drawn + k + 1))
    return total / comb(texts, drawn)


def _leading(cumulative: Sequence[float], share: float) -> int:
    """How many choices it takes to explain a share of the variance; all where they never do."""
    enough = (number for number, reached in enumerate(cumulative, start=1) if reached >= share)
    return next(enough, len(cumulative))


def _along(chosen: Sequence[str | None], variance: Sequence[float]) -> dict[str, float]:
    """The variance along the chosen texts of each category."""
    along: dict[str, float] = {}
    for category, each in zip(chosen, variance, strict=False):
        if category:
            along[category] = along.get(category, 0.0) + each
    return along


def _most_significant(
    found: Mapping[str, int],
    drawn: int,
    along: Mapping[str, float],
    marked: Mapping[str, int],
    texts: int,
    *,
    tests: int,
    alpha: float,
) -> Role:
    """Judge the categories that were found."""
    judged = [
        (
            min(1.0, tests * upper_tail(count, drawn, marked[category], texts)),
            along.get(category, 0.0),
            category,
        )
        for category, count in found.items()
    ]
    ranked = sorted(judged, key=lambda each: _rank(*each, alpha=alpha))
    if not ranked:
        return Role(NONE, 0.0, 1.0, NONE)
    p_value, score, _ = ranked[0]
    names = [NONE] * (p_value >= alpha) + [category for _, _, category in ranked] + [NONE]
    return Role(names[0], score, p_value, names[1])


def _rank(p_value: float, score: float, category: str, *, alpha: float) -> tuple[bool, float, float, str]:
    """Put categories that chance does not explain first, by their variance; then the others, by p-value."""
    if p_value < alpha:
        return False, -score, p_value, category
    return True, p_value, -score, category
