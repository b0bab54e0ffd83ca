"""A plain dense array as rows of a Parquet file: a column for each axis, and one of vectors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from .dense import Block, Coordinate, Dense, Writer
from .views import Array

_INPUTS = ("model", "image_set", "text_set", "module")
"""What each row says of where it comes from, where the view has it."""


class ParquetRows(Writer):
    """A Parquet file with one row for each position along all axes but the last.

    The last axis is the column `vector`, a list; an array of one axis has a column `value` instead. Columns
    that name the inputs come first, then the coordinates of each axis. Rows that are absent have null for
    their vector. What it was made from stands in the schema's metadata, as JSON under `belvedere`.
    """

    def __init__(self, path: Path, dense: Dense) -> None:
        self._dense = dense
        self._axes = dense.dims[: max(1, len(dense.dims) - 1)]
        self._columns = {
            name: coord for name, coord in dense.coords.items() if coord.axis in (None, *self._axes)
        }
        self._inputs = {key: str(dense.attrs[key]) for key in _INPUTS if key in dense.attrs}
        self._schema = self._make_schema()
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd")

    def _make_schema(self) -> pa.Schema:
        number = pa.from_numpy_dtype(self._dense.dtype)
        name, kind = ("vector", pa.list_(number)) if len(self._dense.dims) > 1 else ("value", number)
        fields: list[Any] = [pa.field(column, pa.string()) for column in self._inputs]
        fields += [pa.field(column, _kind(coord)) for column, coord in self._columns.items()]
        said = json.dumps({**self._dense.attrs, "dims": self._dense.dims}, ensure_ascii=False)
        return pa.schema([*fields, pa.field(name, kind)], metadata={"belvedere": said})

    def write(self, block: Block, values: Array) -> None:
        """Write the rows of one block, as a row group of its own."""
        parts = dict(zip(self._axes, block, strict=False))
        lengths = [part.stop - part.start for part in parts.values()]
        count = int(np.prod(lengths, dtype=np.int64))
        columns: list[Any] = [pa.array([name] * count, pa.string()) for name in self._inputs.values()]
        columns += [_column(coord, parts, lengths, count) for coord in self._columns.values()]
        gone = np.array([place in self._dense.absent for place in self._first(block)], dtype=bool)
        absent = np.repeat(gone, count // max(1, len(gone)))
        columns.append(self._values(values, absent))
        self._writer.write_table(pa.table(columns, schema=self._schema))

    def _first(self, block: Block) -> Iterator[int]:
        return iter(range(block[0].start, block[0].stop) if block else range(1))

    def _values(self, values: Array, absent: Array) -> Any:
        if len(self._dense.dims) < 2:
            return pa.array(values.reshape(-1), mask=absent)
        width = values.shape[-1]
        ends = np.concatenate([[0], np.cumsum(np.where(absent, 0, width))])
        flat = pa.array(values.reshape(-1, width)[~absent].reshape(-1))
        missing = np.append(absent, False)
        return pa.ListArray.from_arrays(pa.array(ends, pa.int32(), mask=missing), flat)

    def close(self) -> None:
        """Write the footer."""
        self._writer.close()

    def abandon(self) -> None:
        """Close the file."""
        self._writer.close()


def _kind(coord: Coordinate) -> pa.DataType:
    return pa.string() if coord.is_text else pa.from_numpy_dtype(coord.values.dtype)


def _column(coord: Coordinate, parts: dict[str, slice], lengths: list[int], count: int) -> Any:
    """Repeat a coordinate for each row of a block: rows run along the axes in C order."""
    if coord.axis is None:
        return pa.array([coord.values.item()] * count, _kind(coord))
    axis = list(parts).index(coord.axis)
    along = [-1 if place == axis else 1 for place in range(len(parts))]
    values = coord.values[parts[coord.axis]].reshape(along)
    return pa.array(np.broadcast_to(values, lengths).reshape(-1), _kind(coord))
