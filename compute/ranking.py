"""How well candidate labels fit a neuron, from how it answers to pictures that are painted of each.

The pictures of all candidates are ranked together by the neuron's activation, the highest first; a
candidate is good if its own pictures come early, and if they look like the neuron's exemplars
(Describe-and-Dissect, Bai et al. 2024, section 3.3 and appendix).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.stats import rankdata

from ..store.views import Array

Score = Literal["mean", "top", "top_squared", "image_products", "mean_products", "top_squared_products"]
LOW = frozenset({"mean", "top", "top_squared"})
"""Scores of which the lowest is the best."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What a score is made of."""

    score: Score = "top_squared_products"
    """Which score decides."""
    beta: int = 5
    """Pictures of a candidate, its best ones, that `top` and `top_squared` look at."""
    top: int = 10
    """Pictures of all candidates, the best ones, that count for image products."""
    rank_base: int = 1
    """The rank of the best picture: 1, or 0 as released."""
    floor: float = 0.0
    """The image product of a candidate without a picture among these; -1 as released."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One candidate, judged."""

    concept: str
    """The candidate."""
    pictures: int
    """Its pictures."""
    mean_rank: float
    """The mean rank of its pictures."""
    top_rank: float
    """The mean rank of its `beta` best pictures."""
    top_rank_squared: float
    """The mean of the squares of these ranks."""
    in_top: int
    """Its pictures among the `top` best of all."""
    image_product: float
    """The mean cosine of these with the exemplars."""
    score: float
    """The score that decides."""


def judged(
    concepts: Sequence[str], activations: Array, pictures: Array, exemplars: Array, rules: Rules
) -> list[Judged]:
    """Judge candidates, the best first; of equal ones the first by letters.

    Args:
        concepts: The candidate that each picture is of.
        activations: What the neuron gives for each picture.
        pictures: The pictures' embeddings, "picture joint", unit norm.
        exemplars: The exemplars' embeddings, "exemplar joint", unit norm.
        rules: What the score is made of.
    """
    ranks = rankdata(-activations, method="average") - 1 + rules.rank_base
    cosines = (pictures @ exemplars.T).mean(axis=1)
    places: dict[str, list[int]] = {concept: [] for concept in sorted(set(concepts))}
    for place, concept in enumerate(concepts):
        places[concept].append(place)
    found = [_one(each, ranks[own], cosines[own], rules) for each, own in places.items()]
    scores = _scores(found, rules)
    order = sorted(range(len(found)), key=lambda at: _key(scores[at], found[at].concept, rules))
    return [_with(found[at], scores[at]) for at in order]


def _key(score: float, concept: str, rules: Rules) -> tuple[float, str]:
    return (score if rules.score in LOW else -score, concept)


def _one(concept: str, ranks: Array, cosines: Array, rules: Rules) -> Judged:
    best = np.sort(ranks)[: rules.beta]
    among = ranks < rules.top + rules.rank_base
    product = float(cosines[among].mean()) if among.any() else rules.floor
    return Judged(
        concept,
        len(ranks),
        float(ranks.mean()),
        float(best.mean()),
        float((best**2).mean()),
        int(among.sum()),
        product,
        float("nan"),
    )


def _with(one: Judged, score: float) -> Judged:
    return Judged(
        one.concept,
        one.pictures,
        one.mean_rank,
        one.top_rank,
        one.top_rank_squared,
        one.in_top,
        one.image_product,
        score,
    )


def _scores(found: Sequence[Judged], rules: Rules) -> list[float]:
    plain: Mapping[str, list[float]] = {
        "mean": [each.mean_rank for each in found],
        "top": [each.top_rank for each in found],
        "top_squared": [each.top_rank_squared for each in found],
        "image_products": [each.image_product for each in found],
    }
    if rules.score in plain:
        return plain[rules.score]
    by = plain["mean" if rules.score == "mean_products" else "top_squared"]
    order = sorted(range(len(found)), key=lambda at: (by[at], found[at].concept))
    return [each.image_product * (len(found) - order.index(at)) for at, each in enumerate(found)]


def distinct(embeddings: Array, most: int, threshold: float) -> list[int]:
    """Choose labels that differ: the first, and those after it that are no nearer than this to any chosen.

    Args:
        embeddings: Of the labels, the best first: "text joint", unit norm.
        most: At most so many.
        threshold: The largest cosine of two that are both kept.
    """
    chosen: list[int] = []
    for place, each in enumerate(embeddings):
        if len(chosen) < most and all(float(each @ embeddings[other]) <= threshold for other in chosen):
            chosen.append(place)
    return chosen
