"""SQL over the tables of a store and the catalog's own; no model is ever started by asking."""

from __future__ import annotations

from collections.abc import Set
from typing import cast

from ..compute.views import all_views, refuse_broken
from ..store.errors import (
    MissingUnits,
    QueryError,
    UnknownName,
)
from ..store.views import ArrayView, TableView, View
from . import catalog, duck
from .answer import Answer
from .combinations import Filled, instances
from .completeness import Completeness, Touched
from .engine import Engine
from .resolve import COLUMN_OF, needed_inputs
from .scan import Scan, schema_of


def sql(
    engine: Engine, query: str, named: Set[str], params: duck.Params, *, require_complete: bool
) -> Answer:
    """Answer a SELECT that names these table views and catalog's tables; see `Store.sql`."""
    scans = {name: _scan(engine, name) for name in named if name in all_views()}
    tables = {name: catalog.table(engine.folder, name) for name in named if name in catalog.COLUMNS}
    _refuse_unknown(named - {*scans, *tables})
    try:
        rows = duck.hold(query, params, {**tables, **scans})
    except QueryError:
        errors = [scan.seen.error for scan in scans.values() if scan.seen.error is not None]
        if errors:
            raise errors[0] from None
        raise
    answer = Answer(rows, Completeness(*_touched(scans)))
    if require_complete and not answer.completeness.complete:
        missing = sum(each.missing for each in answer.completeness.views.values())
        needed = sum(each.needed for each in answer.completeness.views.values())
        raise MissingUnits(", ".join(sorted(scans)), missing, needed, str(answer.completeness))
    return answer


def _scan(engine: Engine, name: str) -> Scan:
    cls = all_views()[name]
    if issubclass(cls, ArrayView):
        raise QueryError(
            f"{name} holds an array, which SQL does not show; read it with store.view({name!r}, …)"
        )
    table = cast("type[TableView]", cls)
    columns = [COLUMN_OF[kind] for kind in needed_inputs(cls)]
    found = cast("list[TableView]", instances(engine, table))
    return Scan(
        schema_of(table, columns), found, Filled(engine.folder.records).has, engine.done, engine.reader
    )


def _refuse_unknown(names: Set[str]) -> None:
    for name in sorted(names):
        refuse_broken(name)
        if not {".", "/"} & set(name):  # DuckDB reads files by their names
            raise UnknownName("table", name, [*all_views(), *catalog.COLUMNS], "belvedere views lists them")


def _touched(scans: dict[str, Scan]) -> tuple[dict[str, Touched], tuple[str, ...]]:
    touched: dict[str, Touched] = {}
    empty = []
    for name, scan in sorted(scans.items()):
        seen = scan.seen
        lacking = dict.fromkeys(_combination(unit.view) for unit in seen.missing.values())
        touched[name] = Touched(len(seen.needed), len(seen.needed) - len(seen.missing), tuple(lacking))
        if seen.nothing:
            empty.append(name)
    return touched, tuple(empty)


def _combination(view: View) -> str:
    return " × ".join([*view.names.values(), *view.constant().values()])
