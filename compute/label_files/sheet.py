"""A CSV file of labels as it stands: every cell a text, nothing taken for missing."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ...store import digest
from ...store.errors import BadSource
from .entries import Cells

LARGEST = 1 << 29
"""Bytes of the largest file that is read: label files have megabytes."""
INDEX = frozenset({"", "unnamed: 0"})
"""What pandas calls the column of row numbers that it writes unless told not to."""


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that is not taken in."""

    line: int
    """The line of the file in which it begins, from 1."""
    raw: str
    """The row as it stands."""
    reason: str
    """What is wrong with it."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row below the header."""

    line: int
    """The line in which it begins, from 1: cells may have several lines."""
    cells: Cells
    """Its cells, by column."""

    @property
    def raw(self) -> str:
        """The row, as CSV."""
        return written(list(self.cells.values()))


@dataclass(frozen=True, slots=True)
class Sheet:
    """A file that was read."""

    path: Path
    """Where it lies."""
    sha256: str
    """The digest of its bytes."""
    columns: tuple[str, ...]
    """Its columns in lower case, in their order; a column of row numbers is left out."""
    titles: tuple[str, ...]
    """The same as the file writes them."""
    rows: tuple[Row, ...]
    """Its rows."""
    rejects: tuple[Reject, ...]
    """Rows with more or fewer cells than the header."""


def read(path: Path) -> Sheet:
    """Read a CSV file: UTF-8, commas, quotes doubled inside quotes, cells of several lines.

    Raises `BadSource` where there is no such file, it is not UTF-8, a quotation does not end, a column has
    no name or two have one, or there is no row.
    """
    if not path.is_file():
        raise BadSource(f"no file {path}; name a CSV file with a header")
    if path.stat().st_size > LARGEST:
        raise BadSource(f"{path} has {path.stat().st_size:,} bytes; label files have at most {LARGEST:,}")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadSource(f"{path} cannot be read ({error.strerror})") from error
    lines = _records(path, data)
    _, titles = next(lines, (0, []))
    names = [each.strip().lower() for each in titles]
    kept = [place for place, name in enumerate(names) if name not in INDEX]
    columns = tuple(names[place] for place in kept)
    _check_header(path, titles, columns)
    rows, rejects = [], []
    for line, cells in lines:
        if len(cells) != len(names):
            reason = f"{len(cells)} cells where the header has {len(names)}"
            rejects.append(Reject(line, written(cells), reason))
        else:
            rows.append(Row(line, {names[place]: cells[place] for place in kept}))
    if not rows and not rejects:
        raise BadSource(f"{path} has no row below its header")
    shown = tuple(titles[place].strip() for place in kept)
    return Sheet(path, digest.of_bytes(data), columns, shown, tuple(rows), tuple(rejects))


def _records(path: Path, data: bytes) -> Iterator[tuple[int, list[str]]]:
    """Give the records of a file, each with the line in which it begins; blank lines are passed over."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise BadSource(f"{path} is not UTF-8 (line {line}); convert it, with iconv perhaps") from error
    reader, line = csv.reader(io.StringIO(text, newline=""), strict=True), 1
    try:
        for cells in reader:
            if cells:
                yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        raise BadSource(
            f"{path} cannot be read as CSV from line {line} on ({error}); is a quotation mark not doubled?"
        ) from error


def _check_header(path: Path, titles: list[str], columns: tuple[str, ...]) -> None:
    if len(titles) < 2:
        listed = f"just {titles[0]!r}" if titles else "nothing"
        raise BadSource(
            f"{path} has no header of several columns with commas between them: there is {listed}"
        )
    double = sorted({name for name in columns if columns.count(name) > 1})
    if double:
        raise BadSource(f"{path} has several columns {double[0]!r}; each needs a name of its own")


def written(cells: list[str]) -> str:
    """Write cells as a line of CSV.

    >>> written(["3", "red, mostly"])
    '3,"red, mostly"'
    """
    sink = io.StringIO()
    csv.writer(sink, lineterminator="\r\n").writerow(cells)  # what ends a line is quoted in a cell
    return sink.getvalue().removesuffix("\r\n")
