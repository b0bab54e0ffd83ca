"""DuckDB answers, and never owns: one connection in memory for each statement."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import duckdb

from ..store.errors import QueryError

if TYPE_CHECKING:
    import pyarrow as pa

Params = Sequence[Any] | Mapping[str, Any] | None
"""Values of `?` or `$name` in a statement."""
_REFUSED = frozenset({"query_table", "query"})
_CONFIG: dict[str, str | bool | int | float | list[str]] = {"python_enable_replacements": "false"}
_HELD = "answer"


@contextmanager
def connection(tables: Mapping[str, Any]) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a connection to which these Arrow tables and datasets are registered."""
    con = duckdb.connect(config=_CONFIG)
    try:
        for name, table in tables.items():
            con.register(name, table)
        yield con
    finally:
        for name in tables:
            con.unregister(name)
        con.close()


def run(con: duckdb.DuckDBPyConnection, query: str, params: Params = None) -> pa.Table:
    """Run a statement; `QueryError` says what DuckDB does not like about it."""
    try:
        found = con.sql(query, params=params) if params else con.sql(query)
        rows: pa.Table = found.to_arrow_table()
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

    def __len__(self) -> int:
        ((count,),) = self._con.execute(f"SELECT count(*) FROM {_HELD}").fetchall()
        return int(count)


def hold(query: str, params: Params = None) -> Held:
    """Run a statement that reads none of the store's tables; `QueryError` as in `run`."""
    con = duckdb.connect(config=_CONFIG)
    try:
        found = con.sql(query, params=params) if params else con.sql(query)
        columns = found.columns
        found.create(_HELD)
    except duckdb.Error as error:
        con.close()
        raise QueryError(_plainly(error)) from error
    return Held(con, columns)


def tables_of(query: str) -> set[str]:
    """List the tables that a SELECT statement names, in lower case, without those it defines itself.

    Raises `QueryError` for anything but one SELECT, and for functions that hide the names of tables.
    """
    with connection({}) as con:
        found = con.execute("SELECT json_serialize_sql(?::VARCHAR)", [query]).fetchone()
    tree = json.loads(found[0]) if found else {}
    if tree.get("error"):
        raise QueryError(f"only one SELECT (or FROM, WITH) statement is answered: {tree['error_message']}")
    if len(tree["statements"]) != 1:
        raise QueryError(f"one statement is answered at a time, not {len(tree['statements'])}")
    return set(_named(tree, frozenset()))


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
