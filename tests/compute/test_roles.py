"""A head's role is the category that its descriptions hold more often than blind draws would."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from belvedere.compute.heads.roles import Role, role_of, upper_tail
from belvedere.compute.heads.textspan import Picks

POOL = Counter({"colour": 30, "shape": 30, "number": 20, "distractor": 10})
TEXTS = 100
"""Ten of the pool's texts have no category."""


CATEGORIES = [*POOL.elements(), *[None] * 10]
"""Of each text of the pool: colours are rows 0 to 29, shapes 30 to 59, numbers 60 to 79."""


def picks(variance: Sequence[float], *rivals: Sequence[int]) -> Picks:
    """The first of the rivals of each rank is the one that was chosen."""
    return Picks(
        text=np.array([rows[0] for rows in rivals], dtype=np.int64),
        variance=np.array(variance),
        cumulative_variance=np.cumsum(variance),
        margin=np.zeros(len(variance)),
        rivals=tuple(np.sort(np.array(rows, dtype=np.int64)) for rows in rivals),
    )


def role(
    categories: Sequence[str | None],
    variance: Sequence[float] | None = None,
    *,
    tests: int = 12,
    share: float = 1.0,
) -> Role:
    """Judge a head that was given texts of these categories, none of which had a rival."""
    even: Sequence[float] = [1 / max(len(categories), 1)] * len(categories)
    rows = {
        category: iter([r for r, c in enumerate(CATEGORIES) if c == category]) for category in set(categories)
    }
    chosen = picks(variance or even, *[[next(rows[category])] for category in categories])
    return role_of(chosen, CATEGORIES, tests=tests, share=share, alpha=0.05)


def drawn_at_least(found: int, drawn: int, marked: int, texts: int) -> Fraction:
    """The chance, by going through every possible draw."""
    draws = list(itertools.combinations(range(texts), drawn))
    return Fraction(sum(sum(text < marked for text in draw) >= found for draw in draws), len(draws))


@given(st.data())
def test_the_tail_is_that_of_all_possible_draws(data: st.DataObject) -> None:
    texts = data.draw(st.integers(1, 9))
    drawn, marked = (data.draw(st.integers(0, texts)) for _ in range(2))
    found = data.draw(st.integers(0, drawn))
    assert upper_tail(found, drawn, marked, texts) == float(drawn_at_least(found, drawn, marked, texts))


def test_the_tail_keeps_its_digits_where_it_is_tiny() -> None:
    all_in = Fraction(1)
    for k in range(60):
        all_in *= Fraction(1000 - k, 30_000 - k)
    assert upper_tail(60, 60, 1000, 30_000) == float(all_in)
    assert 0 < float(all_in) < 1e-85


def test_a_head_with_one_topic_has_it_as_its_role() -> None:
    found = role(["colour"] * 7 + ["shape"])
    tail = upper_tail(7, 8, 30, 100)
    assert found == Role("colour", 7 / 8, 12 * tail, "shape")
    assert found.p_value < 0.05


def test_a_head_with_mixed_topics_has_none_and_says_what_came_nearest() -> None:
    found = role(["colour", "shape", "colour", "number", "shape", "colour"])
    assert (found.role, found.runner_up, found.score) == ("none", "colour", 0.5)
    assert found.p_value == 1.0


def test_the_correction_can_cost_a_role() -> None:
    descriptions = ["colour"] * 5
    once, often = role(descriptions, tests=1), role(descriptions, tests=100)
    assert (once.role, often.role) == ("colour", "none")
    assert often.p_value == pytest.approx(100 * once.p_value)


def test_a_rare_category_needs_fewer_descriptions() -> None:
    found = role(["distractor"] * 5 + ["colour"] * 5)
    assert (found.role, found.runner_up) == ("distractor", "colour")


def test_a_text_without_a_category_counts_but_is_none() -> None:
    bare = role([None, None, None, None, None, None])
    assert bare == Role("none", 0.0, 1.0, "none")
    assert role(["colour"] * 6 + [None, None]).p_value == 12 * upper_tail(6, 8, 30, 100)
    alone = role(["colour"] * 6 + [None])
    assert (alone.role, alone.runner_up) == ("colour", "none")


def test_only_the_leading_descriptions_count() -> None:
    variance = [0.2, 0.15, 0.15, 0.1, 0.1, 0.1, 0.1, 0.1]
    descriptions = [*["colour"] * 6, "shape", "shape"]
    found = role(descriptions, variance, share=0.79)
    assert found == Role("colour", sum(variance[:6]), 12 * upper_tail(6, 6, 30, 100), "none")


def test_equal_evidence_goes_to_the_larger_share_then_to_the_first_name() -> None:
    even = role(["shape", "colour", "shape", "colour"])
    assert even.runner_up == "colour"
    assert role(["shape", "colour", "shape", "colour"], [0.4, 0.1, 0.4, 0.1]).runner_up == "shape"


def test_a_head_without_descriptions_has_no_role() -> None:
    assert role([]) == Role("none", 0.0, 1.0, "none")


def test_blind_draws_are_seldom_given_a_role() -> None:
    dice = random.Random(0)
    given_one = sum(role(dice.sample(CATEGORIES, 12), tests=4).role != "none" for _ in range(2000))
    assert given_one <= 0.05 * 2000


def test_rivals_make_a_short_list_significant() -> None:
    alone = picks([0.5, 0.4], [0], [40])
    beside_rivals = picks([0.5, 0.4], range(12), [40, 41])
    assert role_of(alone, CATEGORIES, tests=12, share=0.8, alpha=0.05).role == "none"
    assert role_of(beside_rivals, CATEGORIES, tests=12, share=0.8, alpha=0.05) == Role(
        "colour", 0.5, 12 * upper_tail(12, 14, 30, 100), "shape"
    )


def test_a_text_counts_once_however_often_it_comes_near() -> None:
    repeated = picks([0.3, 0.3, 0.3], [0, 1, 2], [3, 1, 2], [1, 2, 4])
    once = picks([0.9], [0, 1, 2, 3, 4])
    assert (
        role_of(repeated, CATEGORIES, tests=1, share=0.8, alpha=0.05).p_value
        == role_of(once, CATEGORIES, tests=1, share=0.8, alpha=0.05).p_value
    )


def test_choices_beyond_the_share_do_not_count() -> None:
    found = role_of(
        picks([0.5, 0.3, 0.1], range(8), [8], range(30, 60)), CATEGORIES, tests=12, share=0.8, alpha=0.05
    )
    assert found == Role("colour", 0.8, 12 * upper_tail(9, 9, 30, 100), "none")


def test_all_choices_count_where_they_never_reach_the_share() -> None:
    found = role_of(picks([0.2, 0.1], range(8), range(30, 32)), CATEGORIES, tests=12, share=0.8, alpha=0.05)
    assert found == Role("colour", 0.2, 12 * upper_tail(8, 10, 30, 100), "shape")


def test_a_category_of_rivals_only_has_no_share_of_the_variance() -> None:
    found = role_of(picks([0.9], [95, *range(10)]), CATEGORIES, tests=12, share=0.8, alpha=0.05)
    assert found == Role("colour", 0.0, 12 * upper_tail(10, 11, 30, 100), "none")


def test_a_dead_head_has_no_role() -> None:
    assert role_of(picks([]), CATEGORIES, tests=12, share=0.8, alpha=0.05) == Role("none", 0.0, 1.0, "none")
