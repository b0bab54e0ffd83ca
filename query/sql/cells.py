"""The rows that SQL sees of an array: one for each cell, or for each vector along its last axis."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from ...store.reader import Reader
from ...store.views import AXIS_COLUMNS, Array, ArrayView, Axis, Unit
from .pruning import Positions, narrowed

AT_ONCE = 32 * 2**20
"""At most so many bytes of an array are shown at once, or one unit."""
CELL = 96
"""Bytes that names and positions beside one cell may take."""


def _named(view: ArrayView) -> set[str]:
    """List the axes that have a column."""
    return {axis for axis in view.dims if AXIS_COLUMNS.get(axis, axis) in view.columns}


def groups(view: ArrayView, units: Sequence[Unit], schema: pa.Schema, predicate: Any) -> Iterator[list[Unit]]:
    """Cut units into groups that are read at once: as many as fit, of what the filter leaves of each."""
    beside = 0 if set(view.dims) - _named(view) else CELL  # of a vector's row it is next to nothing
    each = -(-view.shape[view.dims.index(view.axis)] // max(1, len(view.grid))) * (
        view.shown.itemsize + beside
    )
    for axis, length in zip(view.dims, view.shape, strict=True):
        column = AXIS_COLUMNS.get(axis, axis)
        if axis != view.axis:
            plain = column in view.columns and axis not in view.coords()
            left = narrowed(schema, view, column, np.arange(length), predicate) if plain else range(length)
            each *= max(1, len(left))
    count = max(1, AT_ONCE // max(1, each))
    return (list(units[at : at + count]) for at in range(0, len(units), count))


def rows(
    view: ArrayView,
    units: Sequence[Unit],
    reader: Reader,
    schema: pa.Schema,
    columns: Sequence[str],
    predicate: Any,
) -> pa.Table:
    """Give the rows of some units for which a filter holds, with the columns that are asked for.

    Images and texts that could not be read have no rows. The array itself is read only where its numbers are
    asked for, and of its axes only the positions that the filter leaves.
    """
    axes = [(axis, AXIS_COLUMNS.get(axis, axis)) for axis in view.dims]
    named = [(axis, column) for axis, column in axes if column in view.columns]
    places = {column: _positions(view, axis, units, reader) for axis, column in named}
    for axis, column in named:
        if axis not in view.coords():  # names along an axis are compared by the filter itself
            places[column] = narrowed(schema, view, column, places[column], predicate)
    number = [*view.columns][-1]
    filtered = "" if predicate is None else str(predicate)
    asked = [name for name in schema.names if name in columns or name in filtered]
    table = _coordinates(view, dict(named), places, schema, asked)
    if number in asked:
        values = _read(view, reader, [places.get(column) for _, column in axes])
        table = table.append_column(schema.field(number), _column(values, len(table), schema.field(number)))
    if predicate is not None:
        table = _filtered(table, predicate, number)
    return table.select(list(columns))


def _positions(view: ArrayView, axis: str, units: Sequence[Unit], reader: Reader) -> Positions:
    """List the positions along an axis: of the axis that is cut into units, those of these units."""
    if axis != view.axis:
        return np.arange(view.shape[view.dims.index(axis)])
    every = np.concatenate([np.arange(unit.start, unit.stop) for unit in units])
    absent = [unit.start + row for unit in units for row in reader.absent(unit)]
    return np.setdiff1d(every, absent) if absent else every


def _coordinates(
    view: ArrayView,
    named: dict[str, str],
    places: dict[str, Positions],
    schema: pa.Schema,
    asked: Sequence[str],
) -> pa.Table:
    """Lay out where each row is, as far as that is asked: its inputs, what is constant, its positions."""
    lengths = [len(each) for each in places.values()]
    count = int(np.prod(lengths, dtype=np.int64))
    found: dict[str, Any] = {
        name: pa.repeat(pa.scalar(value, pa.string()), count)
        for name, value in view.pinned.items()
        if name in asked
    }
    for number, (axis, column) in enumerate(named.items()):
        if column not in asked and number:  # the first one tells how many rows there are
            continue
        inner = int(np.prod(lengths[number + 1 :], dtype=np.int64))
        along = _labels(view, axis, places[column])
        whole = np.tile(np.repeat(along, inner), count // max(1, inner * len(along)))
        found[column] = pa.array(whole, schema.field(column).type)
    found |= {name: pa.nulls(count, schema.field(name).type) for name in view.blank if name in asked}
    order = [name for name in schema.names if name in found]
    return pa.table({name: found[name] for name in order}, schema=pa.schema([schema.field(n) for n in order]))


def _labels(view: ArrayView, axis: str, positions: Positions) -> Array:
    """Give what stands in an axis's column: names where it has some, else the positions."""
    names = view.coords().get(axis)
    return np.asarray(names, object)[positions] if isinstance(names, tuple) else positions


def _read(view: ArrayView, reader: Reader, places: Sequence[Positions | None]) -> Array:
    """Read what is shown at these positions, all along the axes that have no column."""
    if any(each is not None and not len(each) for each in places):
        lengths = [
            length if each is None else len(each) for each, length in zip(places, view.shape, strict=True)
        ]
        return np.empty(lengths, view.shown)
    return view.show(reader, tuple(_axis(each) for each in places))


def _axis(positions: Positions | None) -> Axis:
    """Write consecutive positions as a slice, which is read faster."""
    if positions is None:
        return slice(None)
    first, last = int(positions[0]), int(positions[-1])
    return slice(first, last + 1) if last - first + 1 == len(positions) else positions


def _column(values: Array, rows: int, field: pa.Field[Any]) -> pa.Array[Any]:
    """Make a column of numbers, or of vectors where an axis is left for them."""
    flat = pa.array(np.ascontiguousarray(values).reshape(-1))
    if not pa.types.is_list(field.type):
        cells: pa.Array[Any] = flat.cast(field.type)
        return cells
    width = values.shape[-1]
    offsets = pa.array(np.arange(rows + 1, dtype=np.int32) * width, pa.int32())
    vectors: pa.Array[Any] = pa.ListArray.from_arrays(offsets, flat.cast(field.type.value_type))
    return vectors


def _filtered(table: pa.Table, predicate: Any, number: str) -> pa.Table:
    """Apply a filter; vectors are copied only where some rows go."""
    if number not in table.column_names or number in str(predicate):
        return table.filter(predicate)
    where = table.drop_columns([number]).append_column("", pa.array(np.arange(len(table))))
    left = where.filter(predicate).column("")
    return table if len(left) == len(table) else table.take(left)
