"""How clear a head is: how few descriptions, and how few categories of them, its variance is spread over.

TextSpan gives each head a list of texts, and with each text a share v_j of the head's variance that it
explains after those before it (Gandelsman, Efros and Steinhardt, ICLR 2024, Algorithm 1); the shares are of
disjoint directions, so they add up. With p_j = v_j / sum v, the *effective number* of descriptions is

    exp(-sum_j p_j ln p_j),

the number of equal shares that would be as spread out (the Hill number of order 1: Hill, "Diversity and
Evenness", Ecology 1973; Jost, "Entropy and diversity", Oikos 2006). The same over categories, p_c the sum of
p_j over the texts of a category, says over how many categories a head is spread.

Madasu, Gandelsman, Lal and Howard, "Quantifying and Enabling the Interpretability of CLIP-like Models"
(arXiv 2409.06579) ask the same of heads whose properties a language model has named: whether the descriptions
of a head agree on one property (their association), and whether heads share properties (their entanglement).
Theirs count descriptions; here each weighs what it explains.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, log

from .roles import NONE


@dataclass(frozen=True, slots=True)
class Clarity:
    """How concentrated one head is; numbers are None where nothing describes it."""

    explained: float
    """Share of the head's variance that its descriptions explain together."""
    leading: float | None
    """Share of that which is along the one description that explains most."""
    descriptions: float | None
    """Effective number of descriptions: from 1 to as many as there are."""
    categories: float | None
    """Effective number of categories; None where no description has one."""
    role: str
    """The role that was found, or "none"."""
    role_share: float | None
    """Share of what is explained along descriptions of the role, or of the leading category where none is."""
    clear_role: str
    """The role, where that share is large enough; else "none"."""


def clarity(
    variances: Sequence[float], categories: Sequence[str | None], role: str, *, least: float
) -> Clarity:
    """Measure one head.

    Args:
        variances: What each of its descriptions explains, a share of the head's variance.
        categories: The category of each; None or "" where it has none.
        role: Its role, or "none".
        least: A role is clear where its descriptions have at least this share of what is explained.
    """
    explained = sum(variances)
    if not explained > 0:
        return Clarity(explained, None, None, None, role, None, NONE)
    shares = [each / explained for each in variances]
    along: dict[str, float] = {}
    for category, share in zip(categories, shares, strict=True):
        if category:
            along[category] = along.get(category, 0.0) + share
    mine = along.get(role, 0.0) if role != NONE else max(along.values(), default=0.0)
    return Clarity(
        explained,
        max(shares),
        effective(shares),
        effective(list(along.values())) if along else None,
        role,
        mine,
        role if role != NONE and mine >= least else NONE,
    )


def effective(weights: Sequence[float]) -> float:
    """Give the number of equal weights that would be as spread out as these: exp of their entropy.

    >>> round(effective([2, 2, 2, 2]), 9), round(effective([1, 0, 0]), 9)
    (4.0, 1.0)
    """
    total = sum(weights)
    return exp(-sum(each / total * log(each / total) for each in weights if each > 0))


def overlap(first: Mapping[str, float], second: Mapping[str, float]) -> float | None:
    """Give what two distributions have in common: 1 for equal ones, 0 for those that share nothing.

    That is sum_c min(p_c, q_c), or 1 less their distance in total variation, with both brought to sum 1.
    None where one of them is empty.
    """
    totals = sum(first.values()), sum(second.values())
    if not min(totals) > 0:
        return None
    return sum(min(each / totals[0], second.get(key, 0.0) / totals[1]) for key, each in first.items())
