"""The largest entries of streamed columns are those of a full sort, whatever the values."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from belvedere.compute.topk import TopK


def literal(values: NDArray[Any], k: int) -> list[tuple[int, int, float, int]]:
    """Sort every column: largest first, of equal ones the first row, no NaN."""
    found = []
    for column in range(values.shape[1]):
        rows = [row for row in range(len(values)) if not np.isnan(values[row, column])]
        rows.sort(key=lambda row: (-float(values[row, column]), row))
        found += [(column, rank, float(values[row, column]), row) for rank, row in enumerate(rows[:k])]
    return found


def streamed(values: NDArray[Any], k: int, cuts: list[int]) -> list[tuple[int, int, float, int]]:
    best = TopK(values.shape[1], k)
    edges = [0, *sorted(cut % (len(values) + 1) for cut in cuts), len(values)]
    for start, stop in pairwise(edges):
        best.add(values[start:stop], np.arange(start, stop))
    return list(zip(*(each.tolist() for each in best.found()), strict=True))


@given(
    st.integers(0, 40),
    st.integers(1, 4),
    st.integers(1, 12),
    st.lists(st.integers(0, 40), max_size=4),
    st.data(),
)
def test_streaming_finds_what_sorting_finds(
    rows: int, columns: int, k: int, cuts: list[int], data: Any
) -> None:
    some = st.sampled_from([-3.0, -1.5, -1.5, 0.0, 0.25, 2.0, float("nan")])
    cells = data.draw(st.lists(some, min_size=rows * columns, max_size=rows * columns))
    values = np.array(cells, np.float32).reshape(rows, columns)
    assert streamed(values, k, cuts) == literal(values, k)


@pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
def test_many_rows_of_negative_values_with_ties(kind: str) -> None:
    values = -np.abs(np.random.default_rng(0).normal(size=(3000, 5))).round(2).astype(kind)
    values[17] = np.nan
    assert streamed(values, 100, [256 * each for each in range(1, 12)]) == literal(values, 100)


def test_a_column_that_is_the_same_everywhere_has_its_first_rows() -> None:
    best = TopK(1, 3)
    best.add(np.zeros((2, 1)), np.array([5, 6]))
    best.add(np.zeros((4, 1)), np.array([9, 10, 11, 12]))
    assert [each.tolist() for each in best.found()] == [[0, 0, 0], [0, 1, 2], [0.0, 0.0, 0.0], [5, 6, 9]]
