"""The tables that a publication freezes: of each name the complete combinations of inputs, in order."""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import pyarrow as pa

from ...compute.views import all_views, view_class
from ...store import digest
from ...store.errors import BelvedereError
from ...store.parts import ARROW
from ...store.parts import schema as arrow_schema
from ...store.reader import Reader
from ...store.registry import INSTRUMENTS
from ...store.views import TableView, Unit, View
from .. import question
from ..engine import Engine
from ..sql import catalog, declared
from ..sql.columns import table_schema
from ..sql.combinations import Filled, instances
from ..sql.imported_tables import TABLES
from ..sql.scan import schema_of
from ..sql.scan import shown as as_shown
from .published import Told

AXES = frozenset({"module", "layer", "head", "neuron", "rank", "image_id", "text_id"})
"""Columns by which a table is sorted, as far as it begins with them."""
AHEAD = 8
"""So many units are read before they are asked for."""
COMPLETENESS = {
    **dict.fromkeys(("name", "view", "kind", "model", "image_set", "text_set"), "string"),
    **dict.fromkeys(("module", "parameters"), "string"),
    **dict.fromkeys(("needed", "ready"), "int64"),
    "published": "bool",
    **dict.fromkeys(("time", "key"), "string"),
}
"""The columns of the table that says what of a store's combinations of inputs a publication has."""


@dataclass(frozen=True, slots=True, eq=False)
class Combination:
    """One view of certain inputs that was filled, and how much of it is there."""

    view: View
    """The view."""
    ready: int
    """Units that are kept."""

    @property
    def complete(self) -> bool:
        """Whether all of its units are kept."""
        return self.ready == len(self.view.units)

    @property
    def pinned(self) -> dict[str, str]:
        """What is the same in all its rows, by column."""
        return self.view.pinned


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """Rows of a table that share the values of some columns."""

    pinned: Mapping[str, str]
    """These columns, and their values."""
    schema: pa.Schema
    """The other columns."""
    batches: Callable[[], Iterator[pa.RecordBatch]]
    """Reads the rows."""


@dataclass(frozen=True, slots=True, eq=False)
class Frozen:
    """One table of a publication."""

    name: str
    """Its name."""
    schema: pa.Schema
    """Its columns."""
    key: str
    """The digest of what its rows follow from."""
    pieces: Sequence[Piece]
    """Its rows."""


@dataclass(frozen=True, slots=True, eq=False)
class Named:
    """A name of the store, and the combinations of inputs that belong to it."""

    name: str
    """The name: a view's, or a declared one."""
    schema: pa.Schema | None
    """The columns of its table; None for an array."""
    combinations: Sequence[Combination]
    """What was filled under it, sorted by inputs."""
    lost: str = ""
    """Why it cannot be used any more, where it was declared of what is gone."""


def named(engine: Engine) -> list[Named]:
    """List every view, and every declared one, with the combinations of inputs that were filled."""
    filled = Filled(engine.folder)
    views = [
        _named(engine, name, cls, instances(engine, cls, among=filled)) for name, cls in all_views().items()
    ]
    for each, there in declared.usable(engine):
        if isinstance(there, BelvedereError):
            views.append(Named(each.name, None, (), str(there)))
        elif each.view is not None:
            views.append(_named(engine, each.name, view_class(each.view), there))
        else:
            schema = schema_of(there[0])
            views.append(Named(each.name, schema, [_combination(there[0], engine.done(there[0]))]))
    return views


def _named(engine: Engine, name: str, cls: type[View], views: Sequence[View]) -> Named:
    """Count what is kept of the combinations of inputs that belong to a name."""
    done = {view.recipe_key: view for view in views}
    keys = {recipe: engine.done(view) for recipe, view in done.items()}
    made = [_combination(view, keys[view.recipe_key]) for view in views]
    made.sort(key=lambda each: tuple(each.pinned.values()))
    return Named(name, table_schema(cls) if issubclass(cls, TableView) else None, made)


def _combination(view: View, done: Collection[str]) -> Combination:
    return Combination(view, sum(unit.key in done for unit in view.units))


def of_view(engine: Engine, found: Named, pool: ThreadPoolExecutor) -> Frozen:
    """Freeze the table of a name: of its combinations of inputs, those that are complete."""
    assert found.schema is not None
    whole = [each for each in found.combinations if each.complete]
    facts = [[each.pinned, _read(each.view), question.identity(each.view)] for each in whole]
    pieces = [_piece(engine.reader, each, found.schema, pool) for each in whole]
    return Frozen(found.name, found.schema, digest.of_facts([str(found.schema), facts]), pieces)


def _read(view: View) -> str:
    """Write down the parameters of a view, those that are chosen on a read included."""
    return json.dumps(question.parameters(view), sort_keys=True, ensure_ascii=False)


def _piece(reader: Reader, each: Combination, schema: pa.Schema, pool: ThreadPoolExecutor) -> Piece:
    view = cast("TableView", each.view)
    shown = pa.schema([column for column in schema if column.name not in each.pinned])
    by = sorting(view, shown)

    def rows(unit: Unit) -> pa.Table:
        return in_order(as_shown(view.narrow(reader.rows(unit)), shown), by)

    def batches() -> Iterator[pa.RecordBatch]:
        for table in ahead(pool, rows, view.units):
            yield from table.to_batches()

    return Piece(each.pinned, shown, batches)


def sorting(view: TableView, shown: pa.Schema) -> list[str]:
    """Give the columns by which the rows of a unit are sorted: the axes with which its columns begin.

    The axis of the units comes first, so that units in their order make up a sorted table.
    """
    found = []
    for name in shown.names:
        if name not in AXES:
            break
        found.append(name)
    return sorted(found, key=lambda name: name != view.axis)


def in_order(rows: pa.Table, by: Sequence[str]) -> pa.Table:
    """Sort rows by some columns, where they are not sorted yet; equal ones keep their order."""
    if not by or _is_sorted(rows, by):
        return rows
    return rows.sort_by([(name, "ascending") for name in by])


def _is_sorted(rows: pa.Table, by: Sequence[str]) -> bool:
    if any(rows[name].null_count or not pa.types.is_integer(rows.schema.field(name).type) for name in by):
        return False
    tied = np.ones(max(0, len(rows) - 1), dtype=bool)
    for name in by:
        values = rows[name].to_numpy()
        before, after = values[:-1], values[1:]
        if (tied & (before > after)).any():
            return False
        tied &= before == after
    return True


def ahead(
    pool: ThreadPoolExecutor, read: Callable[[Unit], pa.Table], units: Sequence[Unit]
) -> Iterator[pa.Table]:
    """Read units on the threads of a pool, a few before they are asked for, and give them in order."""
    waiting: deque[Future[pa.Table]] = deque()
    try:
        for unit in units:
            waiting.append(pool.submit(read, unit))
            if len(waiting) > AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for each in waiting:
            each.cancel()


def threads() -> ThreadPoolExecutor:
    """Open the pool on whose threads units are read."""
    return ThreadPoolExecutor(os.cpu_count() or 1)


def of_rows(name: str, rows: pa.Table, key: str | None = None) -> Frozen:
    """Freeze rows that are at hand; without a key they are their own."""
    own = key or digest.of_facts([str(rows.schema), json.dumps(rows.to_pylist(), sort_keys=True)])
    return Frozen(name, rows.schema, own, [Piece({}, rows.schema, lambda: iter(rows.to_batches()))])


def of_catalog(engine: Engine, name: str) -> Frozen:
    """Freeze one of the catalog's own tables; its rows are read when they are asked for."""
    wanted = arrow_schema(catalog.COLUMNS[name])
    if name == "views":
        return of_rows(name, catalog.table(engine.folder, name))
    listed = sorted(
        (info.path, info.size, info.modified.isoformat())
        for prefix in _BENEATH[name]
        for info in engine.folder.objects.list(prefix)
    )

    def batches() -> Iterator[pa.RecordBatch]:
        yield from catalog.table(engine.folder, name).to_batches()

    key = digest.of_facts([str(wanted), [list(each) for each in listed]])
    return Frozen(name, wanted, key, [Piece({}, wanted, batches)])


_BENEATH: Mapping[str, tuple[str, ...]] = {
    "models": ("names/models/",),
    "instruments": tuple(f"names/{under}/" for under in INSTRUMENTS.values()),
    "replies": ("memos/reply/",),
    "image_sets": ("names/images/",),
    "images": ("names/images/",),
    "text_sets": ("names/texts/",),
    "texts": ("names/texts/",),
    "units": ("units/",),
    "errors": ("failures/",),
    "runs": ("runs/",),
    **dict.fromkeys(TABLES, ("imports/", "names/models/")),
}
"""The objects from which each of the catalog's tables follows; they are listed, and not read."""


@dataclass(frozen=True, slots=True)
class Times:
    """When the tables of a publication were made, those that are taken over from the one before included."""

    now: str
    """The time of this publication."""
    before: Mapping[str, Told] = field(default_factory=dict)
    """The tables of the publication before."""

    def of(self, table: Frozen) -> str:
        """Give when a table's rows were put together."""
        told = self.before.get(table.name)
        return told.time if told and told.key == table.key else self.now


def completeness(
    found: Sequence[Named], tables: Mapping[str, Frozen], times: Times, arrays: frozenset[str]
) -> Frozen:
    """Freeze what is known of all combinations: how much of each is there, and whether it is published.

    Arrays are published where their identity is among `arrays`.
    """
    rows = [
        _told(each.name, one, tables.get(each.name), times, arrays)
        for each in found
        for one in each.combinations
    ]
    columns = {name: pa.bool_() if kind == "bool" else ARROW[kind] for name, kind in COMPLETENESS.items()}
    return of_rows("completeness", pa.Table.from_pylist(rows, schema=pa.schema(columns)))


def _told(
    name: str, one: Combination, table: Frozen | None, times: Times, arrays: frozenset[str]
) -> dict[str, Any]:
    """Say what is known of one combination."""
    key = question.identity(one.view)
    published = one.complete and (table is not None or key in arrays)
    return {
        "name": name,
        "view": one.view.name(),
        "kind": "array" if table is None else "table",
        **one.pinned,
        "parameters": _read(one.view),
        "needed": len(one.view.units),
        "ready": one.ready,
        "published": published,
        "time": (times.of(table) if table else times.now) if published else None,
        "key": key,
    }
