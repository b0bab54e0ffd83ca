"""Copies a table view to Parquet or CSV, one unit in memory at a time."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ...compute.running.report import Progress, Settings
from ...store import placing
from ...store.errors import BadDestination, DamagedUnit
from ...store.views import Unit
from ..engine import ROUNDS
from ..progress import teller
from .export import Exported, Order, facts_of, have, order

if TYPE_CHECKING:
    from ..lazy.table import LazyTable

FORMS = ("parquet", "csv")
"""What a table can be written to."""


def export_table(
    lazy: LazyTable,
    dest: str | os.PathLike[str],
    form: str | None,
    missing: str,
    settings: Settings,
    progress: bool | Progress,
    *,
    overwrite: bool,
) -> Exported:
    """Write the rows of a table; see `LazyTable.export`."""
    asked = order(dest, form, FORMS, missing, overwrite=overwrite)
    placing.check(asked.dest, folder=False, overwrite=overwrite)
    units = lazy._units()
    have(lazy, units, missing, settings, progress)
    schema = lazy._schema().with_metadata({"belvedere": json.dumps(_facts(lazy), ensure_ascii=False)})
    if asked.form == "csv":
        _refuse_lists(schema, asked.dest)
    with placing.placed(asked.dest, overwrite=overwrite) as partial:
        count = _copy(lazy, units, schema, asked, partial, teller(progress))
        size = partial.stat().st_size
    return Exported(
        path=asked.dest,
        view=lazy._view.title(),
        form=asked.form,
        columns=lazy.columns,
        shape=(count,),
        dtype=None,
        bytes=size,
        absent={},
    )


def _copy(
    lazy: LazyTable,
    units: tuple[Unit, ...],
    schema: pa.Schema,
    asked: Order,
    partial: Path,
    progress: Progress,
) -> int:
    """Write the rows; give how many there are."""
    count = 0
    with placing.writing(asked.dest):
        writer = _writer(asked.form, partial, schema)
    progress.begin(len(units), f"writing {asked.dest.name}")
    try:
        for rows in _read(lazy, units, again=asked.missing == "fill"):
            with placing.writing(asked.dest):
                writer.write_table(rows.cast(schema))
            count += len(rows)
            progress.advance(1)
    finally:
        with placing.writing(asked.dest):
            writer.close()
        progress.end()
    return count


def _facts(lazy: LazyTable) -> dict[str, Any]:
    return {**facts_of(lazy._view), "where": lazy._condition.text, "params": list(lazy._condition.params)}


def _writer(form: str, path: Path, schema: pa.Schema) -> Any:
    if form == "csv":
        from pyarrow import csv

        return csv.CSVWriter(path, schema)
    import pyarrow.parquet as pq

    return pq.ParquetWriter(path, schema, compression="zstd")


def _read(lazy: LazyTable, units: tuple[Unit, ...], *, again: bool) -> Iterator[pa.Table]:
    """Give the rows unit by unit; what turns out damaged is computed again if that is asked."""
    for unit in units:
        for left in reversed(range(ROUNDS)):
            if again:
                lazy._engine.ensure([unit])
            try:
                yield _rows(lazy, unit)
            except DamagedUnit:
                if not again or not left:
                    raise
                continue
            break


def _rows(lazy: LazyTable, unit: Unit) -> pa.Table:
    """Read the rows of one unit for which the condition holds; it raises where the unit is gone."""
    rows, _ = lazy._scan(lambda _: {unit.key})
    return rows


def _refuse_lists(schema: pa.Schema, dest: Path) -> None:
    lists = [each.name for each in schema if pa.types.is_list(each.type)]
    if lists:
        raise BadDestination(f"{dest}: the column {lists[0]!r} holds lists, which CSV has not; take .parquet")
