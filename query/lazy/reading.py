"""Reads of an array view: what is missing is filled, refused or masked, and what is there is shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np

from ...store.errors import AbsentRows, DamagedUnit, MissingUnits
from ...store.views import Array, ArrayView, Axis, Unit
from ..engine import Engine
from .selection import Selection

T = TypeVar("T")
Missing = Literal["fill", "raise", "mask"]
Absent = Literal["raise", "skip"]


@dataclass(frozen=True, slots=True)
class Shown:
    """What is read for each position of a view's first axis: the view itself, or numbers kept beside it."""

    dtype: np.dtype[Any]
    """The data type of what is shown."""
    show: Callable[[tuple[Axis, ...]], Array]
    """Reads what is there; the selection has an entry for every axis."""
    whole: bool = True
    """Whether a row that could not be read is refused, and not shown as it is kept."""


class Reading:
    """The way from a selection of one view to its numbers."""

    def __init__(self, engine: Engine, view: ArrayView) -> None:
        self._engine, self._view = engine, view
        self._itself = Shown(view.shown, lambda axes: view.show(engine.reader, axes))
        self._by_row = view.axis == view.dims[0]

    def touched(self, selection: Selection) -> Sequence[Unit]:
        """List the units in which a selection lies; all, where a reader does not see the units' axis."""
        if not self._by_row or len(self._view.units) == 1:
            return self._view.units
        return [self._view.units[index] for index in self._view.grid.touched(selection.first)]

    def read(self, selection: Selection, missing: Missing, shown: Shown | None = None) -> Array:
        """Read a selection; the errors are those of `LazyArray.read`."""
        what = shown or self._itself
        if not all(selection.lengths):
            return selection.finish(np.empty(selection.lengths, what.dtype))
        units = self.touched(selection)
        if missing == "mask":
            return self._masked(selection, units, what)
        return self.having(units, missing, lambda: self._whole(selection, units, what))

    def rows(self, selection: Selection, missing: Missing, absent: Absent) -> tuple[Array, Array]:
        """Read a selection and the positions of its rows, without those that are absent if they are skipped.

        The selection keeps the first axis, and has its positions in the order in which they are wanted.
        """
        if absent == "raise":
            return selection.order, self.read(selection, missing)

        def read() -> tuple[Array, Array]:
            gone = self.absent(units)
            there = np.array([place for place in selection.order.tolist() if place not in gone], np.intp)
            rest = selection.at(there)
            if not all(rest.lengths):
                return there, rest.finish(np.empty(rest.lengths, self._itself.dtype))
            return there, self._whole(rest, units, self._itself)

        units = self.touched(selection)
        return self.having(units, missing, read)

    def absent(self, units: Sequence[Unit]) -> dict[int, str]:
        """Give the positions in these units that could not be read, with the reason."""
        if not self._by_row:
            return {}
        absent = self._engine.reader.absent
        return {unit.start + row: reason for unit in units for row, reason in absent(unit).items()}

    def having(self, units: Sequence[Unit], missing: Missing, read: Callable[[], T]) -> T:
        """Read once the units are there: filled, and again if need be, or refused where one is missing."""
        if missing == "fill":
            return self._engine.kept(units, read)
        found = self._engine.plan(units)
        if found.steps:
            hint = found.lost or 'fill() computes them, and so does missing="fill"'
            lacking = found.wanted - found.reused or found.units
            raise MissingUnits(self._view.title(), lacking, found.wanted, hint)
        return read()

    def _whole(self, selection: Selection, units: Sequence[Unit], what: Shown) -> Array:
        absent = self.absent(units) if what.whole else {}
        if absent:
            gone = {place: absent[place] for place in selection.first if place in absent}
            if gone:
                raise AbsentRows(self._view.title(), self._view.axis, gone)
        return selection.finish(what.show(selection.axes))

    def _masked(self, selection: Selection, units: Sequence[Unit], what: Shown) -> Array:
        """Read the rows that are there, and mask the others."""
        while True:
            done = self._engine.done(self._view)
            ready = [unit for unit in units if unit.key in done]
            if self._engine.plan(ready).steps or (not self._by_row and len(ready) < len(units)):
                ready = []
            try:
                return self._mask(selection, ready, what)
            except MissingUnits:  # set aside by another process after it was listed
                continue
            except DamagedUnit:
                if not self._engine.folder.writable:
                    raise

    def _mask(self, selection: Selection, ready: Sequence[Unit], what: Shown) -> Array:
        places = np.asarray(selection.first, dtype=np.intp)
        if self._by_row:
            starts = {unit.index for unit in ready}
            block = self._view.grid.block
            absent = self.absent(ready)
            there = np.array([p // block in starts and p not in absent for p in places.tolist()], dtype=bool)
        else:
            there = np.full(len(places), bool(ready))
        values = np.zeros(selection.lengths, what.dtype)
        if there.any():
            values[there] = what.show(selection.narrowed(places[there]))
        mask = np.broadcast_to(~there.reshape(-1, *[1] * (values.ndim - 1)), values.shape)
        masked: Array = np.ma.MaskedArray(selection.finish(values), selection.finish(mask.copy()))
        return masked


def unmasked(values: Array) -> Array:
    """Put NaN where floats are masked; the array itself where nothing can be."""
    if not isinstance(values, np.ma.MaskedArray):
        return values
    plain: Array = values.filled(np.nan)
    return plain
