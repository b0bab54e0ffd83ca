"""Where a set of images comes from: a folder, a glob, a list, a table, or the demo world."""

from __future__ import annotations

import csv
import glob
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from ..store import digest
from ..store.errors import BadSource, UnknownName
from . import pictures

DEMO_SCENES = 2000
"""How many scenes `demo:scenes` has."""
ImageSource = str | Path | Sequence[str | Path]
"""What `add_images` takes."""
Tick = Callable[[int, int], None]
"""Told how many of how many are done."""
Row = dict[str, Any]
"""One picture's entry in a set, by column."""


@dataclass(frozen=True, slots=True)
class Found:
    """A picture that a source names, not read yet."""

    path: str
    """Its absolute path, or `demo:scenes/` and a number."""
    label: str | None = None
    """Its class, where the source gives one."""
    grp: str | None = None
    """Its group, where the source gives one."""


def find(source: ImageSource, labels: Literal["folder"] | None = None) -> list[Found]:
    """List the pictures of a source.

    Args:
        source: A folder (read with all below it), a glob, a list of files, a .csv or .parquet table with a
            column `path` and perhaps `label` and `grp`, or `demo:scenes`.
        labels: "folder" takes each picture's class from the first folder below the source.

    Raises:
        BadSource: There is nothing of the kind, or no picture in it.
        UnknownName: A table lacks the column `path`.
    """
    if labels not in (None, "folder"):
        raise BadSource(f"labels={labels!r}: only 'folder' gives labels")
    if labels and (not isinstance(source, str | Path) or not Path(source).is_dir()):
        raise BadSource(f"labels='folder' goes with a folder, which {source} is not")
    if not isinstance(source, str | Path):
        found = [_file(Path(path)) for path in source]
    elif str(source) == "demo:scenes":
        found = _scenes()
    elif Path(source).is_dir():
        found = _folder(Path(source), labels)
    elif Path(source).suffix.lower() in (".csv", ".parquet"):
        found = _table(Path(source))
    elif Path(source).is_file():
        found = [_file(Path(source))]
    else:
        found = _glob(str(source))
    if not found:
        raise BadSource(f"{source} names no pictures; known are {', '.join(sorted(pictures.SUFFIXES))}")
    twice = [path for path, count in Counter(each.path for each in found).items() if count > 1]
    if twice:
        raise BadSource(f"{source} names {twice[0]} twice; copy the file if it is to count twice")
    return found


def read_all(found: Sequence[Found], known: Mapping[str, Row], tick: Tick) -> list[Row]:
    """Read every picture's bytes for its digest and its header for its size; a row for each, in order.

    A file that is known by its path, and whose size and time are those that are known, is not read. One
    that is no picture keeps its place, with no width and height; one that cannot be opened at all raises
    `BadSource`.
    """
    rows = []
    with ThreadPoolExecutor(8) as pool:
        for row in pool.map(lambda each: _entry(each, known.get(each.path)), found):
            rows.append(row)
            tick(len(rows), len(found))
    return rows


def _entry(found: Found, known: Row | None) -> Row:
    named = {"path": found.path, "label": found.label, "grp": found.grp}
    try:
        stamp = _stamp(found.path)
        if known is not None and stamp == {key: known[key] for key in stamp}:
            return {**known, **named}
        data = pictures.read(found.path)
    except OSError as error:
        raise BadSource(f"{found.path} cannot be read ({error.strerror})") from error
    width, height = pictures.measure(data) or (None, None)
    return {**named, **stamp, "digest": digest.of_bytes(data), "width": width, "height": height}


def _stamp(path: str) -> Row:
    """Give a file's size and time; scenes, which never change, have neither."""
    if path.startswith(pictures.DEMO):
        return {"size": None, "modified": None}
    stat = Path(path).stat()
    return {"size": stat.st_size, "modified": stat.st_mtime_ns}


def _file(path: Path) -> Found:
    if not path.is_file():
        raise BadSource(f"no file {path}")
    return Found(str(path.resolve()))


def _folder(folder: Path, labels: Literal["folder"] | None) -> list[Found]:
    root = folder.resolve()
    files = (each for each in root.rglob("*") if each.suffix.lower() in pictures.SUFFIXES and each.is_file())
    found = []
    for each in sorted(files, key=lambda each: each.relative_to(root).parts):
        below = each.relative_to(root).parts[:-1]
        found.append(Found(str(each), below[0] if labels == "folder" and below else None))
    return found


def _glob(pattern: str) -> list[Found]:
    if not glob.has_magic(pattern):
        raise BadSource(f"no folder, file or table {pattern}")
    files = sorted(Path(each).resolve() for each in glob.glob(pattern, recursive=True))
    return [Found(str(each)) for each in files if each.is_file()]


def _table(path: Path) -> list[Found]:
    """Take rows in their order; relative paths start at the table's folder."""
    if not path.is_file():
        raise BadSource(f"no table {path}")
    columns, rows = _rows(path)
    if "path" not in columns:
        raise UnknownName(f"column of {path}", "path", columns)
    found = []
    for row in rows:
        place = _file(path.parent / str(row["path"]))
        found.append(replace(place, label=_text(row.get("label")), grp=_text(row.get("grp"))))
    return found


def _rows(path: Path) -> tuple[list[str], Iterable[dict[str, Any]]]:
    if path.suffix.lower() == ".csv":
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            return list(reader.fieldnames or []), list(reader)
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    return table.column_names, table.to_pylist()


def _text(value: Any) -> str | None:
    return None if value is None or value == "" else str(value)


def _scenes() -> list[Found]:
    from ..demo.scenes import test_scenes

    scenes = test_scenes(DEMO_SCENES)
    return [Found(f"{pictures.DEMO}{i}", each.label, each.grp) for i, each in enumerate(scenes)]
