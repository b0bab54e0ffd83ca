"""Copies an array view to Zarr, .npy, .safetensors or Parquet, block by block, never all of it in memory."""

from __future__ import annotations

import os
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from ...compute.running.report import Progress, Settings
from ...store import placing
from ...store.dense import Block, Coordinate, Dense, Writer
from ...store.errors import StoreError
from ...store.sets import ImageSet, TextSet
from ...store.views import Array
from ..lazy.coords import beside
from ..lazy.labelled import BESIDE, entries_along
from ..lazy.part import Part, Select
from ..lazy.selection import Selection
from ..progress import teller
from .export import Exported, Order, facts_of, have, order, refuse_absent

if TYPE_CHECKING:
    from ..lazy.array import LazyArray
    from ..lazy.reading import Missing

FORMS = ("zarr", "npy", "safetensors", "parquet")
"""What an array can be written to."""
_COUNTED = frozenset({"layer", "head", "token", "neuron", "rank"})
"""Axes whose positions stand beside an array although all of them are taken."""


def export_array(
    lazy: LazyArray,
    dest: str | os.PathLike[str],
    form: str | None,
    select: Select,
    missing: str,
    settings: Settings,
    progress: bool | Progress,
    *,
    overwrite: bool,
) -> Exported:
    """Write a part of an array; see `LazyArray.export`."""
    asked = order(dest, form, FORMS, missing, overwrite=overwrite)
    part = lazy.part(select)
    nbytes = prod(part.shape) * lazy.dtype.itemsize
    placing.check(asked.dest, folder=asked.form == "zarr", overwrite=overwrite, nbytes=nbytes)
    units = lazy._reading.touched(part.selection(()))
    have(lazy, units, missing, settings, progress)
    source = _Source(lazy, part, asked)
    dense = source.described()
    with placing.placed(asked.dest, overwrite=overwrite) as partial:
        _copy(dense, source, _writer(asked.form), partial, asked.dest, teller(progress))
        size = _size(partial)
    return Exported(
        path=asked.dest,
        view=lazy._view.title(),
        form=asked.form,
        columns=dense.dims,
        shape=dense.shape,
        dtype=str(dense.dtype),
        bytes=size,
        absent=source.absent,
    )


def _copy(
    dense: Dense,
    source: _Source,
    open_writer: Callable[[Path, Dense], Writer],
    partial: Path,
    dest: Path,
    progress: Progress,
) -> None:
    with placing.writing(dest):
        writer = open_writer(partial, dense)
    progress.begin(dense.rows, f"writing {dest.name}")
    try:
        for block in dense.blocks():
            values = source.read(block, dense)
            with placing.writing(dest):
                writer.write(block, values)
            if all(part.stop == length for part, length in zip(block[1:], dense.shape[1:], strict=True)):
                progress.advance(block[0].stop - block[0].start if block else 1)
        with placing.writing(dest):
            writer.close()
    except BaseException:
        writer.abandon()
        raise
    finally:
        progress.end()


def _writer(form: str) -> Callable[[Path, Dense], Writer]:
    """Give what writes a format; its libraries are imported here."""
    if form == "zarr":
        from ...store.dense_zarr import ZarrFolder

        return ZarrFolder
    if form == "parquet":
        from ...store.dense_rows import ParquetRows

        return ParquetRows
    from ...store.dense_files import NpyFile, SafetensorsFile

    return NpyFile if form == "npy" else SafetensorsFile


class _Source:
    """Reads the blocks of a part, with NaN where an image or text could not be read."""

    def __init__(self, lazy: LazyArray, part: Part, asked: Order) -> None:
        self._lazy, self._part, self._view = lazy, part, lazy._view
        self._again: Missing = "fill" if asked.missing == "fill" else "raise"
        self.absent = self._absent(())
        everything = self._by_row() and len(self.absent) == part.lengths[0]
        if asked.missing == "raise" or everything or lazy.dtype.kind != "f":
            refuse_absent(self._view, self.absent)

    def described(self) -> Dense:
        """Say what the copy holds."""
        part, view = self._part, self._view
        places = part.positions(0).tolist()
        return Dense(
            name=view.name(),
            dims=part.dims,
            shape=part.shape,
            dtype=self._lazy.dtype,
            coords=self._coords(),
            attrs={
                **facts_of(view),
                "selection": part.asked,
                "absent": {str(place): reason for place, reason in self.absent.items()},
            },
            absent=frozenset(row for row, place in enumerate(places) if place in self.absent),
        )

    def read(self, block: Block, dense: Dense) -> Array:
        """Read one block."""
        selection = self._part.selection(block)
        units = self._lazy._reading.touched(selection)
        places = np.asarray(selection.first, dtype=np.intp)
        there = np.array([place not in self.absent for place in places.tolist()], dtype=bool)

        def read() -> Array:
            if self._absent(block) != {p: self.absent[p] for p in places[~there].tolist()}:
                raise StoreError(f"rows of {self._view.title()} changed while it was exported; export again")
            if there.all():
                return self._view.show(self._lazy._engine.reader, selection.axes)
            values = np.full(selection.lengths, np.nan, dense.dtype)
            if there.any():
                narrowed = selection.narrowed(places[there])
                values[there] = self._view.show(self._lazy._engine.reader, narrowed)
            return values

        values = self._lazy._reading.having(units, self._again, read)
        lengths = tuple(each.stop - each.start for each in block)
        return values.reshape(lengths).astype(dense.dtype, copy=False)

    def _by_row(self) -> bool:
        return self._view.axis == self._view.dims[0]

    def _absent(self, block: Block) -> dict[int, str]:
        """Find what could not be read among the positions of a block; of the whole part where it is empty."""
        if not self._by_row():
            return {}
        selection = self._part.selection(block)
        units = self._lazy._reading.touched(selection)
        absent = self._lazy._reading.having(units, self._again, lambda: self._lazy._reading.absent(units))
        return {place: absent[place] for place in selection.first if place in absent}

    def _coords(self) -> dict[str, Coordinate]:
        """Collect what stands beside the part: positions, columns of the set, and what the view has."""
        part, view = self._part, self._view
        found: dict[str, Coordinate] = {}
        known = self._view.coords()
        names = {name: each for name, each in known.items() if isinstance(each, tuple)}
        for place, name in enumerate(part.names):
            positions = part.positions(place)
            axis = None if place in part.dropped else name
            if name in names:
                column = _objects([names[name][position] for position in positions.tolist()])
                found[name] = Coordinate(axis, column if axis else column.reshape(()))
            elif place == 0 and (entries := entries_along(view, name)) is not None:
                found |= _of_set(entries, name, positions, axis)
            elif name in _COUNTED or axis is None or len(positions) < self._lazy.shape[place]:
                values = positions.astype(np.int64)
                found[name] = Coordinate(axis, values if axis else values.reshape(()))
        for name, each in known.items():
            if callable(each) and name not in part.names:
                found |= self._numbers(name)
        return found

    def _numbers(self, name: str) -> dict[str, Coordinate]:
        """Read numbers that are kept with each row of the part."""
        part, rows = self._part, Selection(self._part.axes[:1], (), (), None)
        shown = beside(self._view, name, self._lazy._engine.reader)
        values = self._lazy._reading.read(rows, self._again, shown)
        if 0 in part.dropped:
            return {name: Coordinate(None, values.reshape(()))}
        return {name: Coordinate(part.names[0], values)}


def _of_set(
    entries: ImageSet | TextSet, axis: str, positions: Array, along: str | None
) -> dict[str, Coordinate]:
    """Take the columns of the image or text set that an axis runs over, those that have values."""
    found: dict[str, Coordinate] = {}
    rows: pa.Table = entries.entries.take(positions)
    for name in BESIDE[axis]:
        column = rows[name]
        if column.null_count < len(column):
            text = pa.types.is_string(column.type)
            values = _objects(column.to_pylist()) if text else column.to_numpy()
            found[name] = Coordinate(along, values if along else values.reshape(()))
    return found


def _objects(values: list[str | None]) -> Array:
    found = np.empty(len(values), dtype=object)
    found[:] = values
    return found


def _size(path: Path) -> int:
    if path.is_dir():
        return sum(each.stat().st_size for each in path.rglob("*") if each.is_file())
    return path.stat().st_size
