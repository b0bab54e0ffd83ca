"""Tables of pictures, CSV or Parquet: a path in each row, perhaps a label, a group and a mask."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..store.errors import BadSource, UnknownName
from .dataset_folders import GROUPS
from .found import Found


def read(path: Path) -> list[Found]:
    """Take rows in their order; relative paths start at the table's folder.

    Raises:
        BadSource: There is no such table or one of its files is not there, or it has two columns of groups.
        UnknownName: It lacks the column `path`.
    """
    if not path.is_file():
        raise BadSource(f"no table {path}")
    columns, rows = _rows(path)
    if "path" not in columns:
        raise UnknownName(f"column of {path}", "path", columns)
    groups = [name for name in GROUPS if name in columns]
    if len(groups) > 1:
        raise BadSource(f"{path} has columns grp and group, which mean the same; leave one out")
    found = []
    for number, row in enumerate(rows, 1):
        if None in row or (None in row.values() and path.suffix.lower() == ".csv"):
            raise BadSource(f"row {number} of {path} has not the {len(columns)} fields of its header")
        if not row["path"]:
            raise BadSource(f"row {number} of {path} has no path")
        place = file(path.parent / str(row["path"]))
        grp = _text(row[groups[0]]) if groups else None
        mask = _text(row.get("mask"))
        beside = None if mask is None else file(path.parent / mask).path
        found.append(replace(place, label=_text(row.get("label")), grp=grp, mask=beside))
    return found


def masks(path: Path) -> dict[str, str]:
    """Take the mask of each picture that a table names, by the picture's absolute path.

    Raises `BadSource` where one is not there, and `UnknownName` where the table lacks a column.
    """
    columns, rows = _rows(path)
    for name in ("path", "mask"):
        if name not in columns:
            raise UnknownName(f"column of {path}", name, columns)
    return {
        str((path.parent / str(row["path"])).resolve()): file(path.parent / str(row["mask"])).path
        for row in rows
        if row["path"] and row["mask"]
    }


def file(path: Path) -> Found:
    """Take one file; `BadSource` where it is not there."""
    if not path.is_file():
        raise BadSource(f"no file {path}")
    return Found(str(path.resolve()))


def _rows(path: Path) -> tuple[list[str], Iterable[dict[str, Any]]]:
    if path.suffix.lower() == ".csv":
        try:
            with path.open(encoding="utf-8-sig", newline="") as opened:
                reader = csv.DictReader(opened)
                return list(reader.fieldnames or []), list(reader)
        except (UnicodeDecodeError, csv.Error) as error:
            raise BadSource(f"{path} cannot be read as CSV in UTF-8 ({error})") from error
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except pa.ArrowException as error:
        raise BadSource(f"{path} cannot be read as Parquet ({error})") from error
    return table.column_names, table.to_pylist()


def _text(value: Any) -> str | None:
    return None if value is None or value == "" else str(value)
