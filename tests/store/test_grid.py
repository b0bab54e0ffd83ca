"""Blocks of an axis against plain numpy."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from belvedere.store.grid import Grid

GRIDS = st.builds(Grid, st.integers(1, 60), st.integers(1, 20))


@given(GRIDS)
def test_blocks_cover_the_axis_once_and_in_order(grid: Grid) -> None:
    covered = [position for start, stop in grid for position in range(start, stop)]
    assert covered == list(range(grid.length))
    assert len(list(grid)) == len(grid)


@given(GRIDS, st.data())
def test_touched_blocks_are_those_of_the_positions(grid: Grid, data: st.DataObject) -> None:
    positions = data.draw(st.lists(st.integers(0, grid.length - 1)))
    assert grid.touched(positions) == sorted({position // grid.block for position in positions})


@given(GRIDS, st.data())
def test_touched_blocks_of_a_range_are_those_of_its_positions(grid: Grid, data: st.DataObject) -> None:
    taken = data.draw(st.slices(grid.length))
    positions = range(grid.length)[taken]
    assert grid.touched(positions) == np.unique(np.arange(grid.length)[taken] // grid.block).tolist()
