"""Numpy's own indexing, on an array that is not there as a whole."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import belvedere
from belvedere.query.lazy.selection import parse
from belvedere.store.errors import BadSelection

SHAPE, DIMS = (7, 3, 4), ("image", "layer", "joint")
WHOLE = np.arange(84).reshape(SHAPE)


def entry(length: int) -> st.SearchStrategy[Any]:
    """Draw an index of one axis: an integer or a slice."""
    return st.integers(-length, length - 1) | st.slices(length)


@st.composite
def indices(draw: st.DrawFn, shape: tuple[int, ...] = SHAPE) -> Any:
    """Draw what numpy takes: entries for some axes, at most one of them a list or mask, and an Ellipsis."""
    count = draw(st.integers(0, len(shape)))
    dots = draw(st.none() | st.integers(0, count))
    axes = (
        list(range(count)) if dots is None else [*range(dots), *range(len(shape) - count + dots, len(shape))]
    )
    found = [draw(entry(shape[axis])) for axis in axes]
    if draw(st.booleans()) and found:
        place = draw(st.integers(0, count - 1))
        length = shape[axes[place]]
        numbers: st.SearchStrategy[list[Any]] = st.lists(st.integers(-length, length - 1), max_size=6)
        masks: st.SearchStrategy[list[Any]] = st.lists(st.booleans(), min_size=length, max_size=length)
        chosen = draw(numbers | masks)
        found[place] = draw(st.sampled_from([chosen, np.array(chosen, dtype=None if chosen else int)]))
    if dots is not None:
        found.insert(dots, ...)
    return found[0] if len(found) == 1 and draw(st.booleans()) else tuple(found)


def read(index: Any) -> NDArray[Any]:
    """Read as the store does: along each axis on its own, then finish."""
    selection = parse(index, DIMS, SHAPE)
    axes = [np.arange(n)[axis] for axis, n in zip(selection.axes, SHAPE, strict=True)]
    found = WHOLE[np.ix_(*axes)]
    assert found.shape == selection.lengths
    assert list(selection.first) == axes[0].tolist()
    assert all(axis.step > 0 for axis in selection.axes if isinstance(axis, slice))
    return selection.finish(found)


@given(indices())
@settings(max_examples=600)
def test_any_index_gives_what_numpy_gives(index: Any) -> None:
    expected = WHOLE[index]
    found = read(index)
    np.testing.assert_array_equal(found, expected)
    assert found.shape == expected.shape


@given(indices(shape=(300, 2, 2, 12)))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_view_is_indexed_as_the_whole_array_is(kept: belvedere.Store, index: Any) -> None:
    view = kept.view("head_contributions")
    expected = whole(view)[index]
    found = view[index]
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def whole(view: Any) -> NDArray[Any]:
    """Read all, once for all examples."""
    if not WHOLES:
        WHOLES.append(view[:])
    return WHOLES[0]


WHOLES: list[NDArray[Any]] = []


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (7, "image 7 is outside 0 … 6"),
        (-8, "image -8 is outside"),
        ((0, 3), "layer 3 is outside 0 … 2"),
        ([0, 7], "image 7 is outside"),
        ((0, 0, 0, 0), "4 indices for the 3 axes image, layer, joint"),
        ((..., 0, ...), "1 indices for the 3 axes"),
        (
            None,
            "image is indexed with an integer, a slice, a list of integers or a mask of 7 booleans, not None",
        ),
        ((0, np.newaxis), "layer is indexed with"),
        (1.5, "image is indexed with"),
        ("image", "image is indexed with"),
        ([0.5], "image is indexed with"),
        (True, "image is indexed with"),
        ([True, False], "a mask of 7 booleans"),
        ([[0, 1], [2, 3]], "image is indexed with"),
        ([[0], [1, 2]], "image cannot be indexed with"),
        (slice(None, None, 0), "no slice of image"),
        (slice("a", None), "no slice of image"),
        (([0, 1], [0, 1]), "two lists in one index would be paired up"),
        (([0, 1], slice(None), [True, False, True, False]), "two lists in one index"),
    ],
)
def test_an_index_that_does_not_fit_is_refused_in_plain_words(index: Any, message: str) -> None:
    with pytest.raises(BadSelection, match=message):
        parse(index, DIMS, SHAPE)


def test_iterating_ends_at_the_last_row(kept: belvedere.Store) -> None:
    view = kept.view("text_embeddings")
    np.testing.assert_array_equal(np.stack(list(view)), view[:])


def test_an_array_is_what_numpy_makes_of_a_view(kept: belvedere.Store) -> None:
    view = kept.view("text_embeddings")
    np.testing.assert_array_equal(np.asarray(view), view[:])
    np.testing.assert_array_equal(np.asarray(view, dtype=np.float64), view[:].astype(np.float64))


def test_reading_nothing_needs_nothing(store: belvedere.Store) -> None:
    view = store.view("head_contributions")
    with belvedere.trace() as seen:
        found = [view[5:5], view[[]], view[:, [], 0], view.read(slice(0, 0), missing="raise")]
    assert [each.shape for each in found] == [(0, 2, 2, 12), (0, 2, 2, 12), (300, 0, 12), (0, 2, 2, 12)]
    assert [each.dtype for each in found] == [np.float32] * 4
    assert seen.events == []
