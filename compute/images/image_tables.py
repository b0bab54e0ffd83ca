"""Tables of pictures, CSV or Parquet: a path in each row, perhaps a label, a group and a mask.

The `metadata.csv` of Waterbirds (Sagawa et al. 2020, "Distributionally Robust Neural Networks for Group
Shifts", and their repository group_DRO) is read as it is, and so are others that are written like it.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...store.errors import BadSource, UnknownName
from .dataset_folders import GROUPS
from .found import Found

PLACE = "place"
"""What says the group, as of Waterbirds, in a table that has no column of groups."""
WATERBIRDS = ("img_filename", "y", PLACE, "split")
"""Columns of Waterbirds' own table: a path, whether it is a water bird, whether on water, and 0, 1 or 2."""
SPLITS = ("train", "val", "test")
"""What the numbers of a split stand for."""
BIRDS, PLACES = ("landbird", "waterbird"), ("land", "water")
"""What the numbers of a class and of a place stand for."""


def read(path: Path, split: str = "") -> list[Found]:
    """Take rows in their order; relative paths start at the table's folder.

    Args:
        path: The table.
        split: Of Waterbirds' own table, which split: train, val or test; "" for all.

    Raises:
        BadSource: There is no such table or one of its files is not there, it has two columns of groups, or
            no such split.
        UnknownName: It lacks the column `path`.
    """
    if not path.is_file():
        raise BadSource(f"no table {path}")
    columns, rows = _rows(path)
    if "path" not in columns and {*WATERBIRDS} <= {*columns}:
        return _waterbirds(path, list(rows), split)
    if split:
        raise BadSource(f"{path} has no splits (columns {', '.join(WATERBIRDS)}); leave #{split} out")
    if "path" not in columns:
        raise UnknownName(f"column of {path}", "path", columns)
    groups = [name for name in (*GROUPS, PLACE) if name in columns]
    if len(groups) > 1:
        raise BadSource(f"{path} has columns {' and '.join(groups)}, which mean the same; leave one out")
    group = groups[0] if groups else None
    found = []
    for number, row in enumerate(rows, 1):
        if None in row or (None in row.values() and path.suffix.lower() == ".csv"):
            raise BadSource(f"row {number} of {path} has not the {len(columns)} fields of its header")
        if not row["path"]:
            raise BadSource(f"row {number} of {path} has no path")
        place = file(path.parent / str(row["path"]))
        grp = _text(row[group]) if group else None
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


def concepts(path: Path) -> list[tuple[Any, Any]]:
    """Take what each number of a mask stands for, row by row, from the columns `value` and `concept`.

    Raises `BadSource` where there is no such table, and `UnknownName` where it lacks a column.
    """
    if path.suffix.lower() not in (".csv", ".parquet") or not path.is_file():
        raise BadSource(f"concepts={str(path)!r} is no .csv or .parquet table")
    columns, rows = _rows(path)
    for name in ("value", "concept"):
        if name not in columns:
            raise UnknownName(f"column of {path}", name, columns)
    return [(row["value"], row["concept"]) for row in rows]


def _waterbirds(path: Path, rows: list[dict[str, Any]], split: str) -> list[Found]:
    """Take the birds of one split or of all: the bird is the label, the place it stands in the group."""
    if split and split not in SPLITS:
        raise BadSource(f"{path} has no split {split!r}; it has {', '.join(SPLITS)}")
    found = []
    for number, row in enumerate(rows, 1):
        try:
            where, bird, place = (
                names[range(len(names)).index(int(row[column]))]
                for column, names in (("split", SPLITS), ("y", BIRDS), ("place", PLACES))
            )
        except (TypeError, ValueError):
            said = ", ".join(f"{column}={row.get(column)}" for column in WATERBIRDS[1:])
            raise BadSource(f"row {number} of {path} is not as Waterbirds writes them: {said}") from None
        if split in ("", where):
            found.append(replace(file(path.parent / str(row["img_filename"])), label=bird, grp=place))
    return found


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
