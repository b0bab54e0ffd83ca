"""What streamed activations say of a neuron, against sorting them; and which neurons can be labelled."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from belvedere.compute.largest import Largest
from belvedere.compute.neurons.neuron_state import Known, NeuronState

CELLS = st.sampled_from([-3.0, -1.5, -1.5, 0.0, 0.0, 0.25, 2.0, 2.0, float("nan")])


def cut(values: NDArray[Any], cuts: list[int]) -> list[NDArray[Any]]:
    edges = [0, *sorted(each % (len(values) + 1) for each in cuts), len(values)]
    return [values[start:stop] for start, stop in pairwise(edges)]


def drawn(data: Any, rows: int, columns: int) -> NDArray[np.float32]:
    cells = data.draw(st.lists(CELLS, min_size=rows * columns, max_size=rows * columns))
    return np.array(cells, np.float32).reshape(rows, columns)


@given(
    st.integers(0, 25), st.integers(1, 8), st.lists(st.integers(0, 25), max_size=4), st.booleans(), st.data()
)
def test_streaming_finds_what_sorting_finds(
    rows: int, k: int, cuts: list[int], merged: bool, data: Any
) -> None:
    values = drawn(data, rows, 2)
    found = Largest(2, k)
    for block in cut(values, cuts):
        if merged:
            other = Largest(2, k)
            other.add(block)
            found.merge(other)
        else:
            found.add(block)
    for column in range(2):
        there = sorted((float(each) for each in values[:, column] if not np.isnan(each)), reverse=True)
        top = there[:k]
        assert found.values[column].tolist() == [*top, *[-np.inf] * (k - len(top))]
        assert found.above[column] == sum(each > top[-1] for each in top)
        assert found.ties[column] == (there.count(top[-1]) if top else 0)
        assert found.least[column] == (top[-1] if top else np.inf)


def known(values: NDArray[Any], k: int, cuts: list[int] | None = None, merged: bool = False) -> Known:
    whole = NeuronState(values.shape[1], k)
    for block in cut(values, cuts or []):
        if merged:
            other = NeuronState(values.shape[1], k)
            other.add(block)
            whole.merge(other)
        else:
            whole.add(block)
    return whole.found()


@given(st.integers(1, 25), st.lists(st.integers(0, 25), max_size=4), st.booleans(), st.data())
def test_statistics_do_not_depend_on_how_the_images_come(
    rows: int, cuts: list[int], merged: bool, data: Any
) -> None:
    values = drawn(data, rows, 3)
    found = known(values, 4, cuts, merged)
    for neuron in range(3):
        there = values[~np.isnan(values[:, neuron]), neuron].astype(np.float64)
        assert found.count[neuron] == len(there)
        numbers = [found.mean, found.std, found.minimum, found.maximum, found.nonzero]
        expected = [np.nan] * 5
        if len(there):
            expected = [there.mean(), there.std(), there.min(), there.max(), (there != 0).mean()]
        np.testing.assert_allclose([each[neuron] for each in numbers], expected, atol=1e-12)


def test_a_large_mean_does_not_swallow_the_spread() -> None:
    values = 1e6 + np.random.default_rng(0).normal(size=(5000, 1))
    found = known(values, 4, [1000, 1500, 4000])
    np.testing.assert_allclose(found.std, values.std(), rtol=1e-9)


def column(*values: float) -> NDArray[np.float32]:
    return np.array(values, np.float32)[:, None]


SOME = list(np.random.default_rng(0).normal(size=50))


@pytest.mark.parametrize(
    ("values", "state"),
    [
        ([0.0] * 30, "dead"),
        ([-0.0] * 30, "dead"),
        ([0.0] * 10 + [float("nan")] * 5, "dead"),
        ([0.3] * 30, "constant"),
        ([0.3] * 29 + [0.30000001192], "constant"),
        ([-2.0], "constant"),
        ([float("nan")] * 3, "constant"),
        ([1.0, 2.0, 3.0] + [0.0] * 40, "tied"),
        ([5.0] * 20 + SOME, "tied"),
        ([0.0, 1.0] * 20, "tied"),
        (SOME, "ok"),
        ([1.0, 2.0, 3.0, 4.0, 5.0] + [0.0] * 40, "ok"),
        ([5.0] * 10 + SOME, "ok"),
        ([5.0] * 9 + [4.0] * 2 + [0.0] * 20, "ok"),
        ([1e-20, 2e-20, 0.0], "ok"),
        ([1.0, 0.0, 0.0], "ok"),
    ],
)
def test_a_neuron_is_ok_where_its_top_ten_are_no_matter_of_chance(values: list[float], state: str) -> None:
    assert known(column(*values), 10).states == [state]


def test_more_images_that_are_looked_at_make_a_sparse_neuron_tied() -> None:
    sparse = column(*[float(each) for each in range(1, 30)], *[0.0] * 500)
    assert [known(sparse, k).states[0] for k in (10, 29, 58, 59, 100)] == ["ok", "ok", "ok", "tied", "tied"]
