"""DuckDB answers, and never owns: one database in memory, and for each statement a cursor of its own."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from itertools import chain
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import duckdb

from ...store.errors import QueryError
from .clauses import definitions, parts
from .settled import is_clock

if TYPE_CHECKING:
    import pyarrow as pa

Params = Sequence[Any] | Mapping[str, Any] | None
"""Values of `?` or `$name` in a statement."""
_REFUSED = frozenset({"query_table", "query"})
_CONFIG: dict[str, str | bool | int | float | list[str]] = {"python_enable_replacements": "false"}
_HELD = "answer"
_LOCKS = duckdb.__version__.startswith("1.")
"""Whether `con.sql` with parameters, which runs at once, holds Python's lock to its end. There it may wait
for a thread that needs the lock to let go of a scan, for ever. `con.execute` does not hold it."""
_NONE: Mapping[str, Any] = MappingProxyType({})


@cache
def _database(process: int) -> duckdb.DuckDBPyConnection:
    """Make the database of a process: one lasts, because each takes 15 ms; it does not survive a fork."""
    return duckdb.connect(config=_CONFIG)


def cursor() -> duckdb.DuckDBPyConnection:
    """Open a cursor; what is registered to it, and its temporary tables, no other one sees."""
    return _database(os.getpid()).cursor()


@dataclass(frozen=True, slots=True)
class Union:
    """A table that DuckDB puts together from others."""

    sql: str
    """The statement."""
    columns: tuple[str, ...]
    """The names of its columns."""
    parts: tuple[str, ...]
    """The names of the tables that it is put together from."""


def wholes(tables: Mapping[str, Any]) -> dict[str, str]:
    """Give for each part of what is put together among some tables the name of the whole."""
    return {part: name for name, each in tables.items() if isinstance(each, Union) for part in each.parts}


def _register(con: duckdb.DuckDBPyConnection, tables: Mapping[str, Any]) -> None:
    """Let names stand for Arrow tables and datasets, and then for what is put together from these."""
    for name, table in tables.items():
        if not isinstance(table, Union):
            con.register(name, table)
    for name, table in tables.items():
        if isinstance(table, Union):
            con.execute(f"CREATE OR REPLACE TEMP VIEW {name} AS {table.sql}")


def _unregister(con: duckdb.DuckDBPyConnection, tables: Mapping[str, Any]) -> None:
    for name, table in tables.items():
        if isinstance(table, Union):
            con.execute(f"DROP VIEW IF EXISTS {name}")
        else:
            con.unregister(name)


@contextmanager
def unhinted(tables: Mapping[str, Any]) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a database of its own in which no scan is told what a join would leave of it."""
    with duckdb.connect(config=_CONFIG) as con:
        con.execute("SET disabled_optimizers = 'join_filter_pushdown'")
        _register(con, tables)
        yield con
        _unregister(con, tables)


@contextmanager
def connection(tables: Mapping[str, Any]) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a connection to which these Arrow tables and datasets are registered."""
    con = cursor()
    try:
        _register(con, tables)
        yield con
    finally:
        _unregister(con, tables)
        con.close()


def run(con: duckdb.DuckDBPyConnection, query: str, params: Params = None) -> pa.Table:
    """Run a statement; `QueryError` says what DuckDB does not like about it."""
    try:
        if params and _LOCKS:
            kept: Any = con.execute(query, params)
        else:
            kept = con.sql(query, params=params) if params else con.sql(query)
        rows: pa.Table = kept.to_arrow_table()
        return rows
    except duckdb.Error as error:
        raise QueryError(_plainly(error)) from error


class Held:
    """Rows that DuckDB holds until they are asked for in one form or the other; pyarrow can wait so long."""

    def __init__(self, con: duckdb.DuckDBPyConnection, columns: Sequence[str]) -> None:
        self._con = con
        self.columns = list(columns)
        """The names of the columns."""

    def arrow(self) -> pa.Table:
        """Give the rows as an Arrow table."""
        rows: pa.Table = self._con.table(_HELD).to_arrow_table()
        return rows.rename_columns(self.columns)

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Give the rows as tuples."""
        return self._con.table(_HELD).fetchall()

    def fetchone(self) -> tuple[Any, ...] | None:
        """Give the first row; None where there is none."""
        rows = self.first(1)
        return rows[0] if rows else None

    def first(self, rows: int) -> list[tuple[Any, ...]]:
        """Give at most so many rows, the first; no others are fetched."""
        return self._con.table(_HELD).limit(rows).fetchall()

    def __len__(self) -> int:
        ((count,),) = self._con.execute(f"SELECT count(*) FROM {_HELD}").fetchall()
        return int(count)


def hold(
    query: str,
    params: Params = None,
    tables: Mapping[str, Any] = _NONE,
    con: duckdb.DuckDBPyConnection | None = None,
) -> Held:
    """Run a statement over Arrow tables and datasets, on a cursor of its own; `QueryError` as in `run`."""
    con = con or cursor()
    try:
        _register(con, tables)
        columns = _answer(con, query, params)
        _settle(con)
    except duckdb.Error as error:
        con.close()
        raise QueryError(_plainly(error)) from error
    _unregister(con, tables)
    return Held(con, columns)


def _answer(con: duckdb.DuckDBPyConnection, query: str, params: Params) -> list[str]:
    """Keep what a statement answers as a table; give the names of its columns."""
    if params and _LOCKS:
        with suppress(duckdb.ParserException):  # DESCRIBE and SUMMARIZE cannot stand there
            con.execute(f"CREATE TEMP TABLE {_HELD} AS {query}", params)
            return con.table(_HELD).columns
    found = con.sql(query, params=params) if params else con.sql(query)
    columns = found.columns
    found.query("given", f"CREATE TEMP TABLE {_HELD} AS FROM given")
    return columns


def _settle(con: duckdb.DuckDBPyConnection) -> None:
    """Make 64-bit integers of those of 128 bits, which `sum` gives, or floats where one does not fit."""
    held = con.table(_HELD)
    for name, kind in zip(held.columns, held.types, strict=True):
        if str(kind) in ("HUGEINT", "UHUGEINT"):
            change = f'ALTER TABLE {_HELD} ALTER "{name.replace(chr(34), 2 * chr(34))}" TYPE'
            try:
                con.execute(f"{change} BIGINT")
            except duckdb.ConversionException:
                con.execute(f"{change} DOUBLE")


_TABLE_FUNCTIONS = frozenset({"unnest", "range", "generate_series"})
"""Functions in FROM that follow from their arguments alone."""


def unsettled(tree: Any) -> list[str]:
    """List the functions in a statement's tree that can give something else when it is asked again."""
    tables, scalars = set[str](), set[str]()
    for part in parts(tree):
        if part.get("type") == "TABLE_FUNCTION":
            tables.add(str(part["function"]["function_name"]).lower())
        elif part.get("class") == "FUNCTION":
            scalars.add(str(part["function_name"]).lower())
        elif is_clock(part):
            scalars.add("now")
    return sorted((tables - _TABLE_FUNCTIONS) | (scalars & _inconstant() if scalars else set()))


@cache
def _inconstant() -> frozenset[str]:
    """Name the functions of DuckDB that need not give the same again."""
    query = "SELECT DISTINCT function_name FROM duckdb_functions() WHERE stability <> 'CONSISTENT'"
    with connection({}) as con:
        return frozenset(str(name) for (name,) in con.execute(query).fetchall())


def is_reserved(name: str) -> bool:
    """Tell whether a name is a word of SQL that cannot name a table unless it is quoted."""
    query = "SELECT count(*) FROM duckdb_keywords() WHERE keyword_name = ? AND keyword_category = 'reserved'"
    with connection({}) as con:
        ((count,),) = con.execute(query, [name]).fetchall()
    return bool(count)


@dataclass(frozen=True, slots=True)
class Statement:
    """One SELECT, as far as it is understood before it is run."""

    tables: frozenset[str]
    """The tables that it names, in lower case, without those that it defines itself."""
    limited: bool
    """Whether it may stop before it has seen all rows."""
    tree: Any
    """What DuckDB's parser makes of it."""

    @property
    def node(self) -> Mapping[str, Any]:
        """The outermost SELECT."""
        node: Mapping[str, Any] = self.tree["statements"][0]["node"]
        return node

    def texts(self, params: Params) -> frozenset[str]:
        """Give the texts that it has as constants, and those that it is given, in lists, too."""
        given = params.values() if isinstance(params, Mapping) else params or ()
        lists = (each for each in given if isinstance(each, list | tuple))
        found = [*map(constant, parts(self.tree)), *given, *chain.from_iterable(lists)]
        return frozenset(each for each in found if isinstance(each, str))

    def names(self, table: str) -> int:
        """Count how often it names a table, its subqueries included."""
        tables = (part for part in parts(self.tree) if part.get("type") == "BASE_TABLE")
        return sum(str(part["table_name"]).lower() == table for part in tables)

    @property
    def defined(self) -> set[str]:
        """The names that a WITH anywhere in it gives, in lower case."""
        return {name for name, _ in definitions(self.tree)}


def constant(part: Mapping[str, Any]) -> str | None:
    """Give the text that a part of a tree is; each major of DuckDB writes constants down in its own way."""
    if part.get("class") != "CONSTANT":
        return None
    literal, value = part.get("literal"), part.get("value")
    found = literal.get("text") if literal and literal.get("kind") == "STRING" else None
    if value and not value.get("is_null") and value.get("type", {}).get("id") == "VARCHAR":
        found = value.get("value")
    return found if isinstance(found, str) else None


def text(part: Mapping[str, Any], params: Params) -> str | None:
    """Give the text that a part of a tree is, as a constant or a parameter; None where it is none."""
    return constant(part) or _given(part, params)


def _given(part: Mapping[str, Any], params: Params) -> str | None:
    """Give the text that a parameter in a tree is given."""
    if part.get("class") != "PARAMETER":
        return None
    name, found = str(part.get("identifier")), None
    if isinstance(params, Mapping):
        found = params.get(name)
    elif params and name.isdigit() and 0 < int(name) <= len(params):
        found = params[int(name) - 1]
    return found if isinstance(found, str) else None


def parse(query: str) -> Statement:
    """Understand a SELECT statement as far as its tables.

    Raises `QueryError` for anything but one SELECT (or DESCRIBE, SUMMARIZE) of tables that it names.
    """
    with connection({}) as con:
        found = con.execute("SELECT json_serialize_sql(?::VARCHAR)", [query]).fetchone()
    tree = json.loads(found[0]) if found else {}
    if tree.get("error"):
        raise QueryError(f"only one SELECT (or FROM, WITH) statement is answered: {tree['error_message']}")
    if len(tree["statements"]) != 1:
        raise QueryError(f"one statement is answered at a time, not {len(tree['statements'])}")
    return Statement(frozenset(_named(tree, frozenset())), any(map(_limits, parts(tree))), tree)


def run_tree(node: Mapping[str, Any], params: Params, tables: Mapping[str, pa.Table]) -> pa.Table | None:
    """Run a SELECT that a parser made, over these tables alone; None where that is not possible."""
    whole = {"error": False, "statements": [{"node": node, "named_param_map": []}]}
    known = (
        dict(params) if isinstance(params, Mapping) else {str(i): v for i, v in enumerate(params or (), 1)}
    )
    asked = {str(part["identifier"]) for part in parts(node) if part.get("class") == "PARAMETER"}
    given = {name: known[name] for name in asked if name in known}
    try:
        with connection({}) as con:
            ((text,),) = con.execute(
                "SELECT json_deserialize_sql(?::VARCHAR)", [json.dumps(whole)]
            ).fetchall()
        if not parse(text).tables <= tables.keys():
            return None
        with connection(tables) as con:
            return run(con, text, given or None)
    except (QueryError, duckdb.Error):
        return None


def _limits(part: Mapping[str, Any]) -> bool:
    """Tell of a SELECT whether it may stop early; one that sorts or groups first sees all rows."""
    kinds = {each.get("type") for each in part.get("modifiers") or ()}
    grouped = bool(part.get("group_expressions"))
    return "LIMIT_MODIFIER" in kinds and "ORDER_MODIFIER" not in kinds and not grouped


def _named(tree: Any, defined: frozenset[str]) -> Iterator[str]:
    """Walk a statement's tree; `defined` are the names that a WITH around the node has given.

    What stands in a WITH sees the names before its own, and its own only where it is recursive.
    """
    if isinstance(tree, list):
        for value in tree:
            yield from _named(value, defined)
    if not isinstance(tree, dict):
        return
    if tree.get("function_name") in _REFUSED:
        raise QueryError(f"{tree['function_name']}() hides which tables are read; name them in the statement")
    if tree.get("type") == "SHOW_REF" and not tree.get("query"):  # DESCRIBE and SUMMARIZE have a query
        raise QueryError(
            "SHOW is not answered; FROM views lists the views (as belvedere views does), "
            "and DESCRIBE NAME the columns of one that is a table"
        )
    if tree.get("type") == "RECURSIVE_CTE_NODE":
        defined |= {str(tree["cte_name"]).lower()}
    if tree.get("type") == "BASE_TABLE" and not tree.get("schema_name") and not tree.get("catalog_name"):
        name = str(tree["table_name"]).lower()
        if name not in defined:
            yield name
    for entry in (tree.get("cte_map") or {}).get("map", ()):
        yield from _named(entry["value"], defined)
        defined |= {str(entry["key"]).lower()}
    for key, value in tree.items():
        if key != "cte_map":
            yield from _named(value, defined)


def _plainly(error: duckdb.Error) -> str:
    """Give DuckDB's message without the C++ it may end with."""
    return str(error).split("\n\nStack Trace")[0].strip()
