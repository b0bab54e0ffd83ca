"""SQL over the views of a store and the catalog's tables; what is missing is computed where that is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from ...compute.joined import JOINED, Joined
from ...compute.views import all_views, refuse_broken, view_class
from ...store.errors import MissingUnits, QueryError, UnknownName
from ...store.views import View
from ..engine import Engine
from ..known import Names
from ..resolve import added_as, parameters, registered
from . import catalog, duck
from .answer import Answer
from .asking import Asking
from .columns import joined_columns, table_schema
from .combinations import Filled, Said, instances
from .declared import find
from .hints import hints, lookup_in
from .scan import Scan, Source, schema_of
from .supply import Filling, Supplier
from .touching import completeness, scans_of

HEADS = "heads"
"""The column with the condition on heads of which a combination is."""


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
    rows = held(query, params, tables, supplier)
    found = completeness(tables, supplier.filled, supplier.reasons) if supplier else completeness(tables)
    if require_complete and not found.complete:
        missing = sum(each.missing for each in found.views.values())
        needed = sum(each.needed for each in found.views.values())
        raise MissingUnits(", ".join(sorted(found.views)), missing, needed, str(found))
    return Answer(rows, found)


def lazy_tables(
    engine: Engine,
    statement: duck.Statement,
    params: duck.Params = None,
    supplier: Supplier | None = None,
    *,
    looking: bool = False,
    only: Set[str] | None = None,
) -> dict[str, Any]:
    """Give what a statement's names stand for: tables of the catalog, and scans of views.

    The scans have what is missing computed by a supplier, or leave it out; or, `looking`, they give no rows;
    with `only`, rows come from no other units. Raises `UnknownName` for a name that stands for nothing, and
    `QueryError` for a view that SQL does not show.
    """
    unions = {name: union(JOINED[name]) for name in statement.tables & JOINED.keys()}
    named = statement.tables.union(*(_beneath(JOINED[name]) for name in unions)) - unions.keys()
    tables = {name: catalog.table(engine.folder, name) for name in named & catalog.COLUMNS.keys()}
    asking = Asking(statement, params)
    said = Said(statement.texts(params), _conditions(asking), [])
    stood = {name: _stands_for(engine, name, said) for name in sorted(named - tables.keys())}
    views = {name: each for name, each in stood.items() if each is not None}
    known = hints(
        statement,
        params,
        {name: each.schema for name, each in views.items()},
        {name: table.column_names for name, table in tables.items()},
        lookup_in(tables),
        asking.constants,
    )
    whole = {name: name for name in views} | duck.wholes(unions)
    columns: dict[str, set[str]] = {}
    names: dict[str, set[str]] = {}
    for name, each in views.items():
        columns.setdefault(whole[name], set()).update({HEADS} & {*each.schema.names})
        for column, text in _pinned(each):
            columns[whole[name]].add(column)
            names.setdefault(column, set()).add(text)
    asked = asking.of(columns, names)
    sources = {
        name: Source(
            each.instances,
            each.admitted,
            engine.readable,
            engine.reader,
            engine.pruner,
            supplier,
            one_by_one=statement.limited,
            hint=known.get(name, ()),
            only=only,
            looking=looking,
            asked=asked.get(whole[name], frozenset()),
            once=statement.names(whole[name]) == 1,
            refused=said.refused,
        )
        for name, each in views.items()
    }
    scans = {name: Scan(views[name].schema, source, views[name].wants) for name, source in sources.items()}
    return {**tables, **scans, **unions}


def _conditions(asking: Asking) -> frozenset[str]:
    """List the conditions on heads that a statement asks for, whatever tables have such a column."""
    asked = asking.of({name: {HEADS} for name in asking.statement.tables}, {})
    return frozenset(text for each in asked.values() for named in each for _, text in named)


def _pinned(stands: _Stands) -> set[tuple[str, str]]:
    """List the texts that all rows of a combination have in a column, with the columns."""
    there = {*stands.schema.names}
    return {pair for view in stands.instances for pair in view.pinned.items() if pair[0] in there}


def _beneath(joined: Joined) -> list[str]:
    return [*joined.views.values(), *joined.tables]


def union(joined: Joined) -> duck.Union:
    """Put a table together from all that its name stands for; a column that one of them lacks is null."""
    there = {name: _schema(view_class(name)).names for name in joined.views.values()}
    there |= {name: [*catalog.COLUMNS[name]] for name in joined.tables}
    columns = joined_columns(joined)
    parts = (
        "SELECT " + ", ".join(c if c in known else f"NULL AS {c}" for c in columns) + f" FROM {name}"
        for name, known in there.items()
    )
    return duck.Union(" UNION ALL ".join(parts), columns, tuple(there))


@dataclass(frozen=True, slots=True)
class _Stands:
    """What the name of a view, or one that was declared, stands for."""

    schema: pa.Schema
    instances: Sequence[View]
    admitted: Callable[[View], bool]
    wants: str = ""


def _stands_for(engine: Engine, name: str, said: Said) -> _Stands | None:
    """Find what a name stands for in a statement that says this; None for a file, which DuckDB reads."""
    found = find(engine.folder, name)
    filled = Filled(engine.folder).has
    if found is not None and found.sql is not None:
        from .defined import defined

        view = defined(engine, name, found.sql)
        return _Stands(schema_of(view), [view], lambda _: True)
    if found is not None and found.view is not None:
        cls = view_class(found.view)
        views = instances(engine, cls, found.inputs, found.parameters, said=said)
        return _Stands(_schema(cls), views, filled if len(views) > 1 else lambda _: True)
    if name in all_views():
        cls = all_views()[name]
        return _Stands(_schema(cls), instances(engine, cls, said=said), filled, _wants(engine, cls))
    refuse_broken(name)
    if {".", "/"} & set(name):
        return None
    names = [*all_views(), *engine.folder.names.names("declared"), *catalog.COLUMNS]
    raise UnknownName("table", name, names, "belvedere views lists them")


def _wants(engine: Engine, cls: type[View]) -> str:
    """Say which names a view cannot do without, of which there is none; nothing where it lacks none."""
    names = Names(engine)
    spared = {field.name for field in parameters(cls) if field.default is None}
    kinds = [kind for name, kind in registered(cls).items() if name not in spared and not names.every(kind)]
    adds = ", ".join(f"belvedere add {each}" for each in dict.fromkeys(map(added_as, kinds)))
    return f"{cls.name()} needs {adds}" if adds else ""


def _schema(view: type[View]) -> pa.Schema:
    if not view.columns:
        raise QueryError(
            f"{view.name()} holds an array, which SQL does not show; read it: store.view({view.name()!r}, …)"
        )
    return table_schema(view)


def held(
    query: str, params: duck.Params, tables: Mapping[str, Any], supplier: Supplier | None = None
) -> duck.Held:
    """Run a statement; where a scan went wrong, raise what it was and not what DuckDB made of it."""
    with _causes(tables):
        if supplier is None:
            return duck.hold(query, params, tables)
        con = duck.cursor()
        return supplier.serve(lambda: duck.hold(query, params, tables, con), con.interrupt)


def run(con: Any, query: str, params: duck.Params, tables: Mapping[str, Any]) -> pa.Table:
    """Run a statement on a connection that has these tables; errors are those of `held`."""
    with _causes(tables):
        return duck.run(con, query, params)


@contextmanager
def _causes(tables: Mapping[str, Any]) -> Iterator[None]:
    """Raise what went wrong in a scan, where something did: DuckDB passes on its message alone."""
    try:
        yield
    except QueryError:
        for scan in scans_of(tables).values():
            if scan.seen.error is not None:
                raise scan.seen.error from None
        raise
