"""Shards of Parquet with pictures in a column of bytes and paths, as the Hugging Face hub serves them."""

from __future__ import annotations

import errno
import json
import threading
from bisect import bisect_right
from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ...store.errors import BadSource
from .dataset_folders import GROUPS, DatasetRows, bytes_of, named, only_column, stamp_of

_BATCH, _REMEMBERED, _OPEN = 16, 8, 4
"""Rows that are read at once; batches of them, and files, that are remembered."""
_BUFFER = 1 << 20
"""Bytes of a file that are read ahead, so that a group of rows is never in memory as a whole."""


def image_columns(file: Path) -> list[str]:
    """List a Parquet file's columns of pictures: structures of bytes and path."""
    return [field.name for field in _schema(file) if _is_picture(field.type)]


class Shards(DatasetRows):
    """The rows of several Parquet files, one file after the other."""

    def __init__(self, root: Path, files: Sequence[Path]) -> None:
        self._root, self._files = root, files
        schema = _schema(files[0])
        self._column = only_column(root, [field.name for field in schema if _is_picture(field.type)])
        self._names = _classes(schema)
        self._columns = schema.names
        other = next((file for file in files if _schema(file).names != self._columns), None)
        if other is not None:
            raise BadSource(
                f"{other} has other columns than {files[0]}, so the two are no shards of one split"
            )
        self._stops = list(accumulate(_footer(file).num_rows for file in files))
        self._opened: OrderedDict[int, _Cursor] = OrderedDict()
        self._lock = threading.Lock()
        self.stamp = stamp_of(files)

    def __len__(self) -> int:
        return self._stops[-1]

    def picture(self, row: int) -> bytes:
        """Read a picture's bytes; none where the row has no picture. `OSError` where a file is gone."""
        place = bisect_right(self._stops, row)
        try:
            with self._lock:
                found = self._cursor(place).value(row - (self._stops[place - 1] if place else 0))
        except pa.ArrowException as error:
            raise OSError(errno.EIO, str(error), str(self._files[place])) from error
        return bytes_of(found, self._root if self._root.is_dir() else self._root.parent)

    def labels(self) -> Sequence[str | None]:
        """Give the class of each row, by its name where the schema names its classes."""
        return named(self._values("label"), self._names.get("label"))

    def groups(self) -> Sequence[str | None]:
        """Give the group of each row, from a column `grp` or `group`."""
        column = next((name for name in GROUPS if name in self._columns), GROUPS[0])
        return named(self._values(column), self._names.get(column))

    def _values(self, column: str) -> list[Any]:
        if column not in self._columns:
            return [None] * len(self)
        return [value for file in self._files for value in _values(file, column)]

    def _cursor(self, place: int) -> _Cursor:
        if place not in self._opened:
            while len(self._opened) >= _OPEN:
                self._opened.popitem(last=False)[1].close()
            self._opened[place] = _Cursor(self._files[place], self._column)
        self._opened.move_to_end(place)
        return self._opened[place]


class _Cursor:
    """Reads one column of one file forwards, a few rows at a time, and back to a group's start at need."""

    def __init__(self, file: Path, column: str) -> None:
        self._file, self._column = pq.ParquetFile(file, buffer_size=_BUFFER), column
        groups = range(self._file.num_row_groups)
        self._stops = list(accumulate(self._file.metadata.row_group(each).num_rows for each in groups))
        self._batches: Iterator[pa.RecordBatch] = iter(())
        self._next = 0
        self._recent: deque[tuple[int, pa.Array[Any]]] = deque(maxlen=_REMEMBERED)

    def value(self, row: int) -> Any:
        """Give the value of one row."""
        for start, values in self._recent:
            if start <= row < start + len(values):
                return values[row - start].as_py()
        group = bisect_right(self._stops, row)
        first = self._stops[group - 1] if group else 0
        if not first <= self._next <= row or not self._recent:
            left = list(range(group, len(self._stops)))
            self._batches = self._file.iter_batches(_BATCH, row_groups=left, columns=[self._column])
            self._next = first
        while self._next <= row:
            values = next(self._batches).column(0)
            self._recent.append((self._next, values))
            self._next += len(values)
        start, values = self._recent[-1]
        return values[row - start].as_py()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _is_picture(kind: pa.DataType) -> bool:
    return pa.types.is_struct(kind) and {field.name for field in kind} == {"bytes", "path"}


def _schema(file: Path) -> pa.Schema:
    return _footer(file).schema.to_arrow_schema()


def _footer(file: Path) -> pq.FileMetaData:
    try:
        return pq.read_metadata(file)
    except (OSError, pa.ArrowException) as error:
        raise BadSource(f"{file} cannot be read as Parquet ({error})") from error


def _values(file: Path, column: str) -> list[Any]:
    with pq.ParquetFile(file) as opened:
        values: list[Any] = opened.read(columns=[column]).column(0).to_pylist()
    return values


def _classes(schema: pa.Schema) -> dict[str, list[str]]:
    """Read the names of classes that the hub keeps beside a schema."""
    kept = (schema.metadata or {}).get(b"huggingface")
    features = json.loads(kept)["info"]["features"] if kept else {}
    return {name: each["names"] for name, each in features.items() if each.get("_type") == "ClassLabel"}
