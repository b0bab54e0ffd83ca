"""Scores of candidates, against the formulas written out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from belvedere.compute.neurons.ranking import Rules, Usual, distinct, judged
from belvedere.compute.neurons.telling import shift

RNG = np.random.default_rng(5)
USUAL = Usual(0.4, 2.0)
PAPER = Rules("top_squared_products", rank_base=0, floor=-1.0)


def unit(rows: int, width: int = 6) -> Any:
    found = RNG.normal(size=(rows, width))
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def literal(concepts: list[str], activations: Any, pictures: Any, exemplars: Any) -> dict[str, float]:
    """The released default, written out: ranks from 0, squares of the five best, -1 where none is on top."""
    order = sorted(range(len(concepts)), key=lambda at: -activations[at])
    rank = {at: place for place, at in enumerate(order)}
    names = sorted(set(concepts))
    squared, product = {}, {}
    for name in names:
        mine = sorted(rank[at] for at, each in enumerate(concepts) if each == name)
        squared[name] = sum(r * r for r in mine[:5]) / len(mine[:5])
        top = [at for at, each in enumerate(concepts) if each == name and rank[at] < 10]
        cosines = [float(pictures[at] @ shown) for at in top for shown in exemplars]
        product[name] = sum(cosines) / len(cosines) if cosines else -1.0
    place = {name: at for at, name in enumerate(sorted(names, key=lambda name: squared[name]))}
    return {name: product[name] * (len(names) - place[name]) for name in names}


def test_the_score_of_the_paper_is_as_released() -> None:
    concepts = [name for name in ("star", "ring", "heart", "sand") for _ in range(10)]
    activations, pictures, exemplars = RNG.normal(size=40), unit(40), unit(10)
    found = judged(concepts, activations, pictures, exemplars, usual=USUAL, rules=PAPER)
    wanted = literal(concepts, activations, pictures, exemplars)
    assert {each.concept: pytest.approx(each.score) for each in found} == wanted
    assert [each.score for each in found] == pytest.approx(sorted(wanted.values(), reverse=True))


def test_the_default_score_is_the_mean_activation_difference_of_each_candidate() -> None:
    """With a mean that is not 0, ties, values below 0 and as many pictures as there happen to be."""
    concepts = ["star"] * 7 + ["ring"] * 3 + ["sand"]
    activations = np.round(RNG.normal(1.5, 2, size=11), 1).astype(np.float32)
    images = np.round(RNG.normal(-3, 2, size=50), 1).astype(np.float32)
    usual = Usual(float(images.astype(np.float64).mean()), float(images.astype(np.float64).std()))
    found = judged(concepts, activations, unit(11), unit(4), usual=usual, rules=Rules())
    literal = {
        name: shift(
            np.array([a for a, each in zip(activations, concepts, strict=True) if each == name]), images
        )
        for name in set(concepts)
    }
    assert {each.concept: each.score for each in found} == {
        name: pytest.approx(value, abs=1e-12) for name, value in literal.items()
    }
    assert [each.score for each in found] == sorted((each.shift for each in found), reverse=True)


def test_by_the_default_score_no_candidate_counts_for_another() -> None:
    activations, pictures = RNG.normal(size=30), unit(30)
    concepts = [name for name in ("star", "ring", "sand") for _ in range(10)]
    all_three = judged(concepts, activations, pictures, unit(4), usual=USUAL, rules=Rules())
    two = judged(concepts[:20], activations[:20], pictures[:20], unit(4), usual=USUAL, rules=Rules())
    among = [(each.concept, each.score) for each in all_three if each.concept != "sand"]
    assert among == [(each.concept, each.score) for each in two]


def test_a_neuron_that_gives_the_same_for_all_images_shifts_by_nothing() -> None:
    found = judged(["a", "b"], np.array([1.0, 2.0]), unit(2), unit(2), usual=Usual(1.0, 0.0), rules=Rules())
    assert [(each.concept, each.shift) for each in found] == [("a", 0.0), ("b", 0.0)]


@pytest.mark.parametrize(("base", "winner"), [(0, "b"), (1, "a")])
def test_the_base_of_ranks_can_turn_the_winner(base: int, winner: str) -> None:
    """Ranks {0, 10} against {7, 7}: their squares are 50 and 49 from 0, 61 and 64 from 1."""
    values = {"a": [100.0, 0.0], "b": [5.5, 5.5]}
    rest = [50.0, 40.0, 30.0, 20.0, 10.0, 9.0]
    between = [1.0]
    concepts = ["a", "a", "b", "b", *("c" for _ in rest), *("d" for _ in between)]
    activations = np.array([*values["a"], *values["b"], *rest, *between])
    rules = Rules("top_squared", rank_base=base)
    found = judged(concepts, activations, unit(len(concepts)), unit(2), usual=USUAL, rules=rules)
    order = [each.concept for each in found if each.concept in "ab"]
    squared = {each.concept: each.top_rank_squared for each in found}
    assert squared["a"] == (50 if base == 0 else 61)
    assert order[0] == min("ab", key=squared.__getitem__)
    assert winner in order


@pytest.mark.parametrize("score", ["shift", "mean", "top", "top_squared", "image_products", "mean_products"])
def test_the_best_candidate_comes_first_by_every_score(score: str) -> None:
    concepts = ["good"] * 4 + ["bad"] * 4
    exemplars = unit(3)
    pictures = np.concatenate([exemplars[[0, 1, 2, 0]], -exemplars[[0, 1, 2, 0]]])
    activations = np.array([8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0])
    rules = Rules(score, top=8)  # type: ignore[arg-type]
    found = judged(concepts, activations, pictures, exemplars, usual=USUAL, rules=rules)
    assert [each.concept for each in found] == ["good", "bad"]


def test_equal_candidates_come_by_letters_whatever_the_order_of_their_pictures() -> None:
    activations, pictures, exemplars = np.zeros(6), np.tile(unit(1), (6, 1)), unit(2)
    for concepts in (["b"] * 3 + ["a"] * 3, ["a", "b"] * 3):
        for rules in (Rules(), Rules("top_squared")):
            found = judged(concepts, activations, pictures, exemplars, usual=USUAL, rules=rules)
            assert [each.concept for each in found] == ["a", "b"]


def test_labels_that_say_the_same_are_left_out_also_when_all_do() -> None:
    one, other = np.eye(4)[0], np.eye(4)[1]
    assert distinct(np.stack([one, one, one]), 3, 0.81) == [0]
    assert distinct(np.stack([one, other, one, other]), 3, 0.81) == [0, 1]
    assert distinct(np.eye(4), 3, 0.81) == [0, 1, 2]
