"""SQL over the views of a store and the catalog's tables; what is missing is computed where that is asked."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

import pyarrow as pa

from ..compute.views import all_views, refuse_broken
from ..store.errors import MissingUnits, QueryError, UnknownName
from ..store.views import View
from . import catalog, duck
from .answer import Answer
from .combinations import Filled, instances
from .completeness import Completeness, Touched
from .engine import Engine
from .hints import hints, lookup_in
from .resolve import COLUMN_OF, needed_inputs
from .scan import Scan, Source, schema_of
from .supply import Filling, Supplier


def sql(
    engine: Engine,
    query: str,
    statement: duck.Statement,
    params: duck.Params,
    *,
    require_complete: bool,
    filling: Filling | None,
) -> Answer:
    """Answer a SELECT that names views and the catalog's tables; see `Store.sql`."""
    supplier = None if filling is None else Supplier(engine, filling)
    tables = lazy_tables(engine, statement, params, supplier)
    scans = scans_of(tables)
    rows = _held(query, params, tables, supplier)
    answer = Answer(rows, _completeness(scans, supplier))
    if require_complete and not answer.completeness.complete:
        missing = sum(each.missing for each in answer.completeness.views.values())
        needed = sum(each.needed for each in answer.completeness.views.values())
        raise MissingUnits(", ".join(sorted(scans)), missing, needed, str(answer.completeness))
    return answer


def scans_of(tables: Mapping[str, Any]) -> dict[str, Scan]:
    """Pick the scans of views among what a statement's names stand for."""
    return {name: table for name, table in tables.items() if isinstance(table, Scan)}


def lazy_tables(
    engine: Engine,
    statement: duck.Statement,
    params: duck.Params,
    supplier: Supplier | None = None,
    *,
    looking: bool = False,
) -> dict[str, Any]:
    """Give what a statement's names stand for: tables of the catalog, and scans of views.

    The scans have what is missing computed by a supplier, or leave it out; or, `looking`, give no rows.

    Raises `UnknownName` for a name that stands for nothing, and `QueryError` for a view without columns.
    """
    views = {name: all_views()[name] for name in sorted(statement.tables) if name in all_views()}
    tables = {
        name: catalog.table(engine.folder, name) for name in statement.tables if name in catalog.COLUMNS
    }
    _refuse_unknown(statement.tables - {*views, *tables})
    schemas = {name: _schema(view) for name, view in views.items()}
    known = hints(
        statement,
        params,
        {name: schema.names for name, schema in schemas.items()},
        {name: table.column_names for name, table in tables.items()},
        lookup_in(tables),
    )
    admitted = Filled(engine.folder.records).has
    sources = {
        name: Source(
            instances(engine, view),
            admitted,
            engine.readable,
            engine.reader,
            engine.pruner,
            supplier,
            one_by_one=statement.limited,
            hint=known.get(name),
            looking=looking,
        )
        for name, view in views.items()
    }
    return {**tables, **{name: Scan(schemas[name], source) for name, source in sources.items()}}


def _refuse_unknown(names: Set[str]) -> None:
    for name in sorted(names):
        refuse_broken(name)
        if not {".", "/"} & set(name):  # DuckDB reads files by their names
            known, hint = [*all_views(), *catalog.COLUMNS], "belvedere views lists them"
            raise UnknownName("table", name, known, hint)


def _schema(view: type[View]) -> pa.Schema:
    if not view.columns:
        raise QueryError(
            f"{view.name()} holds an array, which SQL does not show; read it: store.view({view.name()!r}, …)"
        )
    return schema_of(view, [COLUMN_OF[kind] for kind in needed_inputs(view)])


def _held(query: str, params: duck.Params, tables: Mapping[str, Any], supplier: Supplier | None) -> duck.Held:
    """Run a statement; where a scan went wrong, raise what it was and not what DuckDB made of it."""
    try:
        if supplier is None:
            return duck.hold(query, params, tables)
        con = duck.cursor()
        return supplier.serve(lambda: duck.hold(query, params, tables, con), con.interrupt)
    except QueryError:
        raise_cause(tables)
        raise


def raise_cause(tables: Mapping[str, Any]) -> None:
    """Raise what went wrong in a scan, where something did: DuckDB passes on its message alone."""
    for scan in scans_of(tables).values():
        if scan.seen.error is not None:
            raise scan.seen.error from None


def _completeness(scans: Mapping[str, Scan], supplier: Supplier | None) -> Completeness:
    filled = frozenset() if supplier is None else supplier.filled
    touched = {}
    for name, scan in sorted(scans.items()):
        seen = scan.seen
        lacking = dict.fromkeys(_combination(unit.view) for unit in seen.missing.values())
        touched[name] = Touched(
            needed=len(seen.needed),
            ready=len(seen.needed) - len(seen.missing),
            filled=len(filled & seen.needed.keys()),
            inputs=tuple(lacking),
        )
    empty = tuple(name for name, scan in sorted(scans.items()) if scan.seen.nothing)
    unknown = tuple(name for name, scan in sorted(scans.items()) if scan.seen.unknown)
    return Completeness(touched, tuple(name for name in empty if name not in unknown), unknown)


def _combination(view: View) -> str:
    return " × ".join([*view.names.values(), *view.constant().values()])
