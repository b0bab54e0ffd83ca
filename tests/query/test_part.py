"""A part of an array is named axis by axis, in a text or a mapping, and checked before anything is read."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from belvedere.query.lazy.part import Part, Select, part_of
from belvedere.store.dense import blocks
from belvedere.store.errors import BadSelection, UnknownName

DIMS, SHAPE, TERMS = ("image", "layer", "term"), (10, 4, 3), {"term": ("embedding", "bias[0]", "rest")}
NUMBERS = np.arange(120).reshape(SHAPE)


def part(select: Select) -> Part:
    return part_of("some_view", DIMS, SHAPE, TERMS, select)


def taken(select: Select) -> Any:
    """Read a part of the numbers as an export would, block by block."""
    found = part(select)
    pieces = [
        NUMBERS[np.ix_(*(positions(axis) for axis in found.selection(block).axes))].ravel()
        for block in blocks(found.shape, 1, 7)
    ]
    return np.concatenate(pieces).reshape(found.shape)


def positions(axis: Any) -> Any:
    return np.arange(axis.start, axis.stop, axis.step) if isinstance(axis, slice) else axis


@pytest.mark.parametrize(
    ("select", "expected"),
    [
        ("", NUMBERS),
        ("image=0:4", NUMBERS[:4]),
        ("image=-3:, layer=-1", NUMBERS[-3:, -1]),
        ("image=::-3", NUMBERS[::-3]),
        ("layer=0,3,1", NUMBERS[:, [0, 3, 1]]),
        ("image=7,2,layer=3,1", NUMBERS[[7, 2]][:, [3, 1]]),
        ("term=rest", NUMBERS[:, :, 2]),
        ("term=rest,embedding,image=5", NUMBERS[5][:, [2, 0]]),
        ("image=1,layer=2,term=bias[0]", NUMBERS[1, 2, 1]),
        ({"image": slice(2, 5), "layer": [1, -1], "term": 0}, NUMBERS[2:5, [1, 3], 0]),
        ({"image": np.arange(10) > 7}, NUMBERS[8:]),
    ],
)
def test_a_part_has_what_numpy_would_take_of_each_axis(select: Select, expected: Any) -> None:
    np.testing.assert_array_equal(taken(select), expected)


@given(st.data())
def test_any_slice_is_cut_into_blocks_without_loss(data: st.DataObject) -> None:
    ends = st.none() | st.integers(-12, 12)
    steps = st.none() | st.integers(-4, 4).filter(bool)
    asked = [slice(*data.draw(st.tuples(ends, ends, steps))) for _ in DIMS]
    expected = NUMBERS[tuple(asked)]
    if expected.size:
        np.testing.assert_array_equal(taken(dict(zip(DIMS, asked, strict=True))), expected)


def test_a_part_says_what_it_has_and_how_it_was_asked() -> None:
    found = part({"image": slice(0, 4), "layer": -1, "term": ["rest", 0]})
    assert (found.dims, found.shape, found.asked) == (
        ("image", "term"),
        (4, 2),
        "image=0:4,layer=-1,term=rest,0",
    )
    assert part(found.asked).asked == part(found.asked.replace(",", ", ")).asked == found.asked
    assert part("").asked == ""


@pytest.mark.parametrize(
    ("select", "error", "said"),
    [
        ("lyer=1", UnknownName, "no axis of some_view 'lyer'; did you mean 'layer'?"),
        ("layer=4", BadSelection, "layer 4 is outside 0 … 3"),
        ("image=5:5", BadSelection, "image=5:5 takes none of the 10"),
        ("3,layer=1", BadSelection, "'3,layer=1' does not begin with an axis; write image=0:1000,layer=-1"),
        ("layer=1,layer=2", BadSelection, "names layer twice; give several positions as layer=0,3"),
        ("layer=top", UnknownName, "no layer 'top'; there is none yet (layer=3, layer=0:10 and layer=0,3"),
        ("layer=1:2:3:4", UnknownName, "no layer '1:2:3:4'"),
        ("term=embeding", UnknownName, "no term 'embeding'; did you mean 'embedding'?"),
        ("image=", UnknownName, "no image ''"),
        ({"layer": 1.5}, BadSelection, "layer is indexed with an integer, a slice, a list"),
    ],
)
def test_a_part_that_is_not_there_is_refused(select: Select, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=re.escape(said)):
        part(select)


def test_axes_of_one_name_are_numbered() -> None:
    found = part_of("head_moments", ("layer", "factor", "factor"), (2, 5, 5), {}, "factor_2=0:2")
    assert (found.dims, found.shape) == (("layer", "factor", "factor_2"), (2, 5, 2))
