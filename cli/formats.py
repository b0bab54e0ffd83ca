"""Rows on stdout, in a form for people or in one for programs."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    import pandas as pd

FORMATS: Mapping[str, str] = {
    "table": "Print a table for people. [default]",
    "json": "Print a JSON list of objects, and nothing else, on stdout.",
    "csv": "Print CSV with a header, and nothing else, on stdout.",
    "nl": "Print one JSON object a line, and nothing else, on stdout.",
}
"""The formats, and what each prints."""


@dataclass(frozen=True, slots=True)
class Rows:
    """What a command found."""

    columns: Sequence[str]
    """The names of the columns."""
    values: Sequence[Sequence[Any]]
    """The rows, in the order of the columns."""

    @classmethod
    def of(cls, columns: Sequence[str], records: Sequence[Mapping[str, Any]]) -> Rows:
        """Take some columns of records that have them by name."""
        return cls(columns, [[record[name] for name in columns] for record in records])

    @classmethod
    def frame(cls, found: pd.DataFrame) -> Rows:
        """Take the rows of a data frame; what is missing becomes None."""
        plain = found.astype(object).where(found.notna(), None)
        return cls([str(name) for name in found.columns], plain.to_numpy().tolist())

    def narrowed(self, columns: Sequence[str]) -> Rows:
        """Keep some of the columns."""
        places = [self.columns.index(name) for name in columns]
        return Rows(columns, [[row[place] for place in places] for row in self.values])


def show(rows: Rows, form: str, *, people: Rows | None = None) -> None:
    """Print rows on stdout in one of the formats; `people` is what the table shows instead."""
    click.echo(_FORMS[form](people if people is not None and form == "table" else rows), nl=False)


def size(count: int) -> str:
    """Write a number of bytes for people.

    >>> size(31_200)
    '31.2 kB'
    """
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= factor:
            return f"{count / factor:,.1f} {unit}"
    return f"{count} B"


def encoded(value: Any) -> str:
    """Write a value as JSON: NaN and infinity as null, what JSON does not know as text."""
    return json.dumps(_plain(value), ensure_ascii=False, allow_nan=False)


def _json(rows: Rows) -> str:
    lines = [encoded(each) for each in _records(rows)]
    return "[" + ",\n ".join(lines) + "]\n"


def _nl(rows: Rows) -> str:
    return "".join(f"{encoded(each)}\n" for each in _records(rows))


def _csv(rows: Rows) -> str:
    import csv
    import io

    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow(rows.columns)
    writer.writerows([[_cell(value) for value in row] for row in rows.values])
    return sink.getvalue()


def _table(rows: Rows) -> str:
    from .layout import layout, width

    return layout(rows.columns, rows.values, width())


_FORMS: Mapping[str, Callable[[Rows], str]] = {"table": _table, "json": _json, "csv": _csv, "nl": _nl}


def _records(rows: Rows) -> list[dict[str, Any]]:
    return [dict(zip(_distinct(rows.columns), row, strict=True)) for row in rows.values]


def _distinct(columns: Sequence[str]) -> list[str]:
    """Number columns of one name, so that no value hides another.

    >>> _distinct(["a", "b", "a"])
    ['a', 'b', 'a_2']
    """
    seen: list[str] = []
    for name in columns:
        number, shown = 1, name
        while shown in seen:
            number += 1
            shown = f"{name}_{number}"
        seen.append(shown)
    return seen


def _plain(value: Any) -> Any:
    """Turn a value to what JSON has."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if type(value).__name__ == "Decimal":
        return _plain(int(value) if value == value.to_integral_value() else float(value))
    return value.hex() if isinstance(value, bytes) else str(value)


def _cell(value: Any) -> Any:
    return encoded(value) if isinstance(value, Mapping | list | tuple) else value
