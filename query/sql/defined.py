"""A view that an SQL statement over other views defines: a table of one unit, derived from theirs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import pyarrow as pa

from ...compute.kinds import Derived, Made
from ...store import digest
from ...store.errors import MissingUnits, QueryError
from ...store.grid import Grid
from ...store.views import Param, Parts, Source, TableView, Unit, View
from .. import question
from ..engine import Engine
from . import duck
from .scan import schema_of
from .statement import held, lazy_tables, run
from .touching import completeness, scans_of, touched


@dataclass(frozen=True, eq=False)
class Defined(Derived, TableView):
    """What a statement answers over the views and tables that it names, kept as a table.

    It is made from the units that the statement's own filters leave of each view, and its identity follows
    from their keys, from the rows of the catalog's tables that it reads, and from its words.
    """

    statement: Param[str]
    """The statement."""
    axis: ClassVar[str] = "table"
    keys: ClassVar[Collection[str]] = ()

    @property
    def meant(self) -> Meant:
        """What the statement means as of now."""
        found: Meant = vars(self)["_meant"]
        return found

    @property
    def grid(self) -> Grid:
        """One unit."""
        return Grid(1, 1)

    @cached_property
    def names(self) -> dict[str, str]:
        """No names: the statement says which columns there are."""
        return {}

    def sources(self) -> list[Source]:
        """List the model, image set and text set beneath it; where there are several, the first of each."""
        found: dict[str, Source] = {}
        for unit in self.meant.units:
            found = {**{each.column: each for each in unit.view.sources()}, **found}
        return [found[column] for column in ("model", "image_set", "text_set") if column in found]

    def title(self) -> str:
        """Give its name alone."""
        return self.name()

    def needs(self, index: int) -> Sequence[Unit]:
        """List the units that it is made from, and those that a read combines them with."""
        views = {id(unit.view): unit.view for unit in self.meant.units}
        beside = (unit for view in views.values() for each in view.companions() for unit in each.units)
        return list({unit.key: unit for unit in (*self.meant.units, *beside)}.values())

    def contents(self, start: int, stop: int) -> str:
        """Give the digest of what its rows follow from.

        That is the units, the names and the parameters under which they are shown, and the catalog's tables
        that it reads.
        """
        views = {id(unit.view): unit.view for unit in self.meant.units}
        shown = {key: digest.of_facts(_shown(view)) for key, view in views.items()}
        units = (f"{unit.key}:{shown[id(unit.view)]}" for unit in self.meant.units)
        tables = (f"{name}:{_digest(table)}" for name, table in sorted(self.meant.tables.items()))
        return digest.of_sequence([*units, *tables])

    def derive(self, unit: Unit, parts: Parts) -> Made:
        """Answer the statement over just the units that it is made from."""
        meant = self.meant
        if meant.lacking:
            raise QueryError(meant.lacking)
        only = frozenset(each.key for each in meant.units)
        tables = lazy_tables(meant.engine, duck.parse(self.statement), None, only=only)
        rows = held(self.statement, None, {**tables, **meant.tables}).arrow()
        lacking = [unit for scan in scans_of(tables).values() for unit in scan.seen.missing.values()]
        if lacking:  # given up or found damaged since it was planned
            raise MissingUnits(lacking[0].view.title(), len(lacking), len(meant.units), "ask again")
        rows = rows.cast(schema_of(self))
        return Made(rows={name: rows[name] for name in rows.column_names}, facts={"rows": len(rows)})


@dataclass(frozen=True, slots=True)
class Meant:
    """What a statement means at one moment."""

    engine: Engine
    """Reads the units."""
    units: tuple[Unit, ...]
    """The units that its filters leave of the views that it names."""
    tables: Mapping[str, pa.Table]
    """The catalog's tables that it names."""
    lacking: str
    """Why it has no answer now: views of which nothing was ever filled; "" where it has one."""


_MEANT: ContextVar[dict[str, Defined | None] | None] = ContextVar("_MEANT", default=None)
"""What names mean while one question is resolved: each is worked out once; None while it is."""
CHANGING = ("units", "runs", "errors")
"""Tables of the catalog that change whenever something is computed."""


def defined(engine: Engine, name: str, text: str) -> Defined:
    """Give the view that a declared statement defines, as of now: its columns, and what it is made from.

    Raises `QueryError` and `UnknownName` where the statement cannot be answered, and `QueryError` where it
    is made from itself, two of its columns have one name, or it reads what is no part of its identity.
    """
    known = _MEANT.get()
    if known is None:
        token = _MEANT.set({})
        try:
            return defined(engine, name, text)
        finally:
            _MEANT.reset(token)
    if name not in known:
        known[name] = None
        known[name] = _defined(engine, name, text)
    found = known[name]
    if found is None:
        raise QueryError(f"{name!r} is made from itself; declare it, or what it names, anew (--replace)")
    return found


def _defined(engine: Engine, name: str, text: str) -> Defined:
    view = Defined(text)
    schema = mean(engine, view, name)
    vars(view).update(name=lambda: name, summary=lambda: f"Declared: {text}", columns=_columns(name, schema))
    return view


def mean(engine: Engine, view: Defined, name: str) -> pa.Schema:
    """Let a view's statement mean what it does as of now; give the columns of its answer.

    Raises `QueryError` and `UnknownName` where it cannot be answered, or be kept as a table; `name` is how
    the message calls it.
    """
    statement = duck.parse(view.statement)
    tables = lazy_tables(engine, statement, None, looking=True)
    _refuse_others(name, statement, tables)
    with duck.unhinted(tables) as con:
        schema = run(con, view.statement, None, tables).schema
    found = completeness(tables)
    vars(view)["_meant"] = Meant(
        engine,
        tuple(unit for units in touched(tables) for unit in units),
        {name: table for name, table in tables.items() if isinstance(table, pa.Table)},
        found.lacking,
    )
    return schema


def _refuse_others(name: str, statement: duck.Statement, tables: Mapping[str, object]) -> None:
    """Refuse what a table could change with although nothing beneath it has changed."""
    often = "which changes whenever something is computed"
    found = [f"the table {each!r}, {often}" for each in CHANGING if each in tables]
    found += [f"the file {each!r}" for each in sorted(statement.tables - tables.keys())]
    found += [f"{each}()" for each in duck.unsettled(statement.tree)]
    if found:
        raise QueryError(
            f"{name!r} cannot be kept as a table: it reads {found[0]}; declare it over views and the other "
            "tables of the catalog, or ask with sql"
        )


def _shown(view: View) -> list[object]:
    """Give what a view's rows follow from beside its units: names, and parameters chosen on reading."""
    return [view.name(), view.pinned, question.parameters(view)]


def _columns(name: str, schema: pa.Schema) -> dict[str, pa.DataType]:
    """Give the columns of an answer as they are kept: integers of 128 bits in 64."""
    names = [each.lower() for each in schema.names]
    if len(set(names)) < len(names):
        twice = next(each for each in schema.names if names.count(each.lower()) > 1)
        raise QueryError(f"{name!r} would have two columns {twice!r}; give one of them another name with AS")
    wide = pa.decimal128(38, 0)
    return {field.name: pa.int64() if field.type == wide else field.type for field in schema}


def _digest(table: pa.Table) -> str:
    """Give the digest of a table's rows in order."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks())
    return digest.of_bytes(sink.getvalue().to_pybytes())
