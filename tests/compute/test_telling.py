"""How well numbers tell two groups apart, and how alike vectors are, against literal formulas."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from belvedere.compute.neurons.telling import auroc, shift
from belvedere.compute.views.neuron_interpretability import alike

NUMBERS = st.lists(st.sampled_from([-2.0, -0.5, 0.0, 0.25, 3.0]), min_size=1, max_size=6)


@given(NUMBERS, NUMBERS)
def test_auroc_is_the_share_of_pairs_that_are_in_order(inside: list[float], outside: list[float]) -> None:
    pairs = [(one > other) + (one == other) / 2 for one in inside for other in outside]
    assert auroc(np.array(inside), np.array(outside)) == pytest.approx(sum(pairs) / len(pairs))


@given(NUMBERS, NUMBERS)
def test_a_shift_is_in_deviations_of_the_second_group(inside: list[float], outside: list[float]) -> None:
    mean = sum(outside) / len(outside)
    deviation = (sum((each - mean) ** 2 for each in outside) / len(outside)) ** 0.5
    expected = (sum(inside) / len(inside) - mean) / deviation if len(set(outside)) > 1 else 0.0
    assert shift(np.array(inside), np.array(outside)) == pytest.approx(expected)


def test_without_one_of_the_groups_there_is_nothing_to_tell() -> None:
    some, none = np.array([1.0, 2.0]), np.array([])
    assert [auroc(some, none), auroc(none, some), shift(some, none), shift(none, some)] == [None] * 4


def test_equal_numbers_have_no_deviation_whatever_they_round_to() -> None:
    assert shift(np.array([5.0]), np.full(7, 0.1, np.float32)) == 0


@given(st.integers(2, 6), st.integers(0, 2**32 - 1))
def test_pairs_of_different_vectors_count_once(count: int, seed: int) -> None:
    vectors = np.random.default_rng(seed).normal(0.5, 1, (count, 3))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    pairs = [float(vectors[i] @ vectors[j]) for i in range(count) for j in range(i)]
    mean = sum(pairs) / len(pairs)
    assert alike(vectors, diagonal=False) == pytest.approx(mean)
    assert alike(vectors, diagonal=True) == pytest.approx(mean + (1 - mean) / count)
