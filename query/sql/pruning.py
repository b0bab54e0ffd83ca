"""What a filter leaves: Arrow drops the units, and positions along an axis, whose promise contradicts it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from functools import reduce
from operator import and_
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.fs as pafs

from ...store.views import View

RUN = 128
"""So many units are judged as one first: a filter mostly rules out all of them at once."""
RUNS_KEPT = 4096
"""So many judged runs of units are remembered, each with what its units promise."""
STEP = 64
"""So many positions along an axis are judged as one first."""
SINGLY = 16
"""Where at most so many of these steps are left, their positions are judged one by one."""

T = TypeVar("T")
Positions = np.ndarray[Any, np.dtype[np.intp]]
_LAYOUT, _NOWHERE = ds.ParquetFileFormat(), pafs.LocalFileSystem()


class Promised(Generic[T]):
    """Things of which each promises what holds for all of its rows."""

    def __init__(self, schema: pa.Schema, things: Sequence[T], promises: Iterable[pc.Expression]) -> None:
        fragments = [
            _LAYOUT.make_fragment(str(number), _NOWHERE, partition_expression=promise)
            for number, promise in enumerate(promises)
        ]
        self._things = things
        self._whole = ds.FileSystemDataset(fragments, schema, _LAYOUT, _NOWHERE)

    def left(self, predicate: Any) -> list[T]:
        """List the things whose promise does not contradict a predicate."""
        return [self._things[int(fragment.path)] for fragment in self._whole.get_fragments(predicate)]


class Place(NamedTuple):
    """Some consecutive units of a view, without their keys: those take the digests of all contents."""

    view: View
    first: int
    stop: int


class OneOf(NamedTuple):
    """That a column has one of some values, none of them null."""

    column: str
    values: Sequence[Any]
    """In order, each once; none where no row is left."""


def holding(places: Sequence[Place], conditions: Sequence[OneOf]) -> list[Place]:
    """List the units of places of which some row may have one of the values of each condition.

    Arrow could tell, too, but looks at every value for every unit.
    """
    return [
        Place(place.view, index, index + 1)
        for place in places
        for index in _holding(place, conditions).tolist()
    ]


def _holding(place: Place, conditions: Sequence[OneOf]) -> Positions:
    view, grid = place.view, place.view.grid
    same, among = view.pinned, view.among()
    left: Positions = np.arange(place.first, place.stop)
    for column, values in conditions:
        if (column in same and same[column] not in values) or column in view.blank:
            return left[:0]
        if column in among and not set(among[column]) & set(values):
            return left[:0]
        if column == view.axis_column:
            known = np.array([*values, grid.length], np.int64)
            stops = np.minimum((left + 1) * grid.block, grid.length)
            left = left[known[np.searchsorted(known[:-1], left * grid.block)] < stops]
    return left


class Pruner:
    """Finds the units of views that a filter does not rule out, and remembers what units promise."""

    def __init__(self) -> None:
        self._runs: OrderedDict[tuple[int, int, pa.Schema], tuple[Place, Promised[Place]]] = OrderedDict()

    def runs(self, schema: pa.Schema, views: Sequence[View], predicate: Any) -> list[Place]:
        """List the runs of units that may have rows."""
        runs = [run for view in views for run in _runs(view)]
        if predicate is None or not runs:
            return runs
        return Promised(schema, runs, map(promise, runs)).left(predicate)

    def surviving(self, schema: pa.Schema, runs: Sequence[Place], predicate: Any) -> list[Place]:
        """List the places within runs that may have rows, each a unit or a run of them that may."""
        if predicate is None or not runs:
            return list(runs)
        doubtful = Promised(schema, runs, map(promise, runs)).left(~predicate)
        mixed = set(doubtful)  # the others lack no row, as far as Arrow can tell
        return [
            place
            for run in runs
            for place in (
                self._units(schema, run).left(predicate) if _tells(run, mixed, predicate) else [run]
            )
        ]

    def _units(self, schema: pa.Schema, run: Place) -> Promised[Place]:
        key = (id(run.view), run.first, schema)
        known = self._runs.get(key)
        if known is None or known[0] != run or known[0].view is not run.view:
            units = [Place(run.view, index, index + 1) for index in range(run.first, run.stop)]
            known = self._runs[key] = run, Promised(schema, units, map(promise, units))
            while len(self._runs) > RUNS_KEPT:
                self._runs.popitem(last=False)
        return known[1]


def _tells(run: Place, mixed: Container[Place], predicate: Any) -> bool:
    """Tell whether a filter may leave some units of a run and not others."""
    column = run.view.axis_column
    return column is not None and run in mixed and column in str(predicate)


def _runs(view: View) -> Iterator[Place]:
    count = len(view.grid)
    return (Place(view, first, min(first + RUN, count)) for first in range(0, count, RUN))


def promise(place: Place) -> pc.Expression:
    """Say what holds for all rows of some units: their inputs, what is constant, and their stretch."""
    view, first, stop = place
    column = view.axis_column
    terms = [_equal(view)]
    if column is not None:
        terms.append(_within(column, view.grid.span(first)[0], view.grid.span(stop - 1)[1]))
    return reduce(and_, terms)


def admits(schema: pa.Schema, views: Sequence[View], predicate: Any, *, blank: bool = True) -> bool:
    """Tell whether a filter admits any of some views by what is the same in all rows of each.

    Without `blank` it may ask for anything in the columns that are null in all of them.
    """
    same = (_equal(view) if blank else _all_equal(view.pinned) for view in views)
    return predicate is None or bool(Promised(schema, views, same).left(predicate))


def asks(schema: pa.Schema, named: Sequence[tuple[str, str]], predicate: Any) -> bool:
    """Tell whether a filter asks for texts in columns: it admits each, and none beside it."""

    def admits(column: str, text: str) -> bool:
        return bool(Promised(schema, [text], [pc.field(column) == text]).left(predicate))

    return predicate is not None and all(
        admits(column, text) and not admits(column, f"{text}\0") and not admits(column, _before(text))
        for column, text in named
    )


def _before(text: str) -> str:
    """Give a text that stands shortly before another in order; before an empty one there is none."""
    if not text:
        return text
    last = ord(text[-1]) - 1
    if last < 0:
        return text[:-1]
    return f"{text[:-1]}{chr(0xD7FF if 0xD800 <= last <= 0xDFFF else last)}\U0010ffff"


def narrowed(schema: pa.Schema, view: View, column: str, positions: Positions, predicate: Any) -> Positions:
    """Leave out positions along an axis that a filter rules out, many of them at least; never others."""
    if predicate is None or column not in str(predicate) or not len(positions):
        return positions
    steps = [positions[at : at + STEP] for at in range(0, len(positions), STEP)]
    same = _equal(view)
    spans = (same & _within(column, int(step[0]), int(step[-1]) + 1) for step in steps)
    left = Promised(schema, steps, spans).left(predicate)
    if len(left) <= SINGLY:
        single = [position for step in left for position in step.tolist()]
        return np.array(
            Promised(schema, single, (same & (pc.field(column) == each) for each in single)).left(predicate),
            np.intp,
        )
    return np.concatenate(left)


def _within(column: str, start: int, stop: int) -> pc.Expression:
    axis = pc.field(column)
    return axis == start if stop == start + 1 else (axis >= start) & (axis < stop)


def _equal(view: View) -> pc.Expression:
    nulls = (pc.field(column).is_null() for column in sorted(view.blank))
    spans = (
        (pc.field(column) >= min(texts)) & (pc.field(column) <= max(texts))  # of lists Arrow makes nothing
        for column, texts in view.among().items()
    )
    return reduce(and_, (*nulls, *spans), _all_equal(view.pinned))


def _all_equal(names: Mapping[str, str]) -> pc.Expression:
    return reduce(and_, (pc.field(column) == value for column, value in names.items()), pc.scalar(True))
