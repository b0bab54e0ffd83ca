"""How well candidate labels fit a neuron, from how it answers to pictures that are painted of each.

In the paper the pictures of all candidates are ranked together by the neuron's activation, the highest first;
a candidate is good if its own pictures come early, and if they look like the neuron's exemplars
(Describe-and-Dissect, Bai et al. 2024, section 3.3 and appendix). `top_squared_products`, which the released
code decides by, multiplies the place that ranks give with the look.

`shift`, the default here, asks only how much more the neuron gives for a candidate's pictures than for the
images of the set, in standard deviations of the latter: CoSy's mean activation difference (Kopf et al. 2024,
section 4). It depends on no other candidate, and can be compared between neurons. Look has no part in it:

* The pictures whose look counts are chosen by the neuron. Those of a wrong candidate that come early are
  those that happen to show the right one, too: "triangle" is judged by its one triangle on sand, which looks
  more like triangles on sand than the pictures of "sand" do.
* What a product of a place and a cosine comes to depends on how widely a model spreads its cosines, and on
  how many candidates there are.

On the demo's classifier and 400 scenes (`pytest -m slow tests/test_demo_labels.py`) the first label is right
for 28 of the 30 neurons of the last layer by `shift`, `mean` and `top_squared`, and for 22 by
`top_squared_products`; in `layer4` for 35, 35, 33 and 31 of 38.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy.stats import rankdata

from ...store.views import Array

Score = Literal[
    "shift", "mean", "top", "top_squared", "image_products", "mean_products", "top_squared_products"
]
LOW = frozenset({"mean", "top", "top_squared"})
"""Scores of which the lowest is the best."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What a score is made of."""

    score: Score = "shift"
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
    activation: float
    """What the neuron gives for them, on average."""
    shift: float
    """How far that lies above what it gives for the images of the set, in deviations of these."""
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


@dataclass(frozen=True, slots=True)
class Usual:
    """What a neuron gives for the images of the set."""

    mean: float
    """On average."""
    deviation: float
    """The standard deviation, divided by their number."""


def judged(
    concepts: Sequence[str],
    activations: Array,
    pictures: Array,
    exemplars: Array,
    *,
    usual: Usual,
    rules: Rules,
) -> list[Judged]:
    """Judge candidates, the best first; of equal ones the first by letters.

    Args:
        concepts: The candidate that each picture is of.
        activations: What the neuron gives for each picture.
        pictures: The pictures' embeddings, "picture joint", unit norm.
        exemplars: The exemplars' embeddings, "exemplar joint", unit norm.
        usual: What the neuron gives for the images of the set.
        rules: What the score is made of.
    """
    ranks = rankdata(-activations, method="average") - 1 + rules.rank_base
    cosines = (pictures @ exemplars.T).mean(axis=1)
    places: dict[str, list[int]] = {concept: [] for concept in sorted(set(concepts))}
    for place, concept in enumerate(concepts):
        places[concept].append(place)
    found = [
        _one(each, activations[own], ranks[own], cosines[own], usual, rules) for each, own in places.items()
    ]
    scores = _scores(found, rules)
    order = sorted(range(len(found)), key=lambda at: _key(scores[at], found[at].concept, rules))
    return [replace(found[at], score=scores[at]) for at in order]


def _key(score: float, concept: str, rules: Rules) -> tuple[float, str]:
    return (score if rules.score in LOW else -score, concept)


def _one(
    concept: str, activations: Array, ranks: Array, cosines: Array, usual: Usual, rules: Rules
) -> Judged:
    best = np.sort(ranks)[: rules.beta]
    among = ranks < rules.top + rules.rank_base
    mean = float(activations.astype(np.float64).mean())
    return Judged(
        concept=concept,
        pictures=len(ranks),
        activation=mean,
        shift=(mean - usual.mean) / usual.deviation if usual.deviation else 0.0,
        mean_rank=float(ranks.mean()),
        top_rank=float(best.mean()),
        top_rank_squared=float((best**2).mean()),
        in_top=int(among.sum()),
        image_product=float(cosines[among].mean()) if among.any() else rules.floor,
        score=float("nan"),
    )


def _scores(found: Sequence[Judged], rules: Rules) -> list[float]:
    plain: Mapping[str, list[float]] = {
        "shift": [each.shift for each in found],
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
