"""One random statement answered by a store and by native tables, and what came of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal

import duckdb
import pyarrow as pa

import belvedere
from belvedere.query.completeness import Completeness
from belvedere.store.errors import QueryError
from tests.sql_world import Twin
from tests.statements import Asked

Outcome = Literal["equal", "incomplete", "refused", "different"]


@dataclass(frozen=True)
class Compared:
    """What came of a statement."""

    outcome: Outcome
    """`refused` where both refuse it, as for an ambiguous name."""
    why: str = ""
    """What differs."""
    completeness: Completeness | None = None
    """How complete the store's answer was."""
    rows: int = 0
    """Rows that native tables give."""


def seeds(count: int) -> range:
    """Give of so many seeds those that are for this major of DuckDB; `make test` runs both majors."""
    return range(int(duckdb.__version__.startswith("1.")), count, 2)


def rows_of(found: pa.Table) -> Counter[tuple[Any, ...]]:
    """Count rows, in whatever order they come; NaN is equal to itself."""
    columns = [[_plain(value) for value in column.to_pylist()] for column in found.columns]
    return Counter(zip(*columns, strict=True))


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_plain(each) for each in value)
    return "nan" if value != value else value


def compare(store: belvedere.Store, twin: Twin, asked: Asked, *, fill: bool = False) -> Compared:
    """Answer a statement both ways; an answer that says that it is incomplete is not compared.

    Of one with a LIMIT the number of rows is compared, and whether each is among those without it.
    """
    try:
        expected = twin.rows(asked.whole, asked.params)
    except duckdb.Error as error:
        try:
            store.sql(asked.query, asked.params)
        except QueryError:
            return Compared("refused")
        return Compared("different", f"only native tables refuse: {error}")
    try:
        limits: dict[str, Any] = {"max_units": None, "max_seconds": None, "max_bytes": None}
        answer = store.sql(asked.query, asked.params, fill=fill, progress=False, **limits)
    except Exception as error:
        return Compared("different", f"only the store refuses: {error!r}")
    found = answer.completeness
    missing = any(each.missing for each in found.views.values())
    if missing or found.empty:  # empty: it asks for no combination of those that were ever filled
        outcome: Outcome = "different" if fill and missing else "incomplete"
        return Compared(outcome, str(found), found, len(expected))
    ours, theirs = rows_of(answer.arrow()), rows_of(expected)
    count = min(len(expected), asked.limit) if asked.limit is not None else len(expected)
    if len(answer) == count and (ours <= theirs if asked.limit is not None else ours == theirs):
        return Compared("equal", "", found, len(expected))
    return Compared("different", f"{len(answer)} rows instead of {count}", found, len(expected))
