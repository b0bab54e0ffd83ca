"""DuckDB answers, and never owns: one connection in memory for each statement."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import duckdb
import pyarrow as pa

from ..store.errors import QueryError

Params = Sequence[Any] | Mapping[str, Any] | None
"""Values of `?` or `$name` in a statement."""
_REFUSED = frozenset({"query_table", "query"})


@contextmanager
def connection(tables: Mapping[str, Any]) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a connection to which these Arrow tables and datasets are registered."""
    con = duckdb.connect(config={"python_enable_replacements": "false"})
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


def tables_of(query: str) -> set[str]:
    """List the tables that a SELECT statement names, without those it defines itself.

    Raises `QueryError` for anything but one SELECT, and for functions that hide the names of tables.
    """
    with connection({}) as con:
        found = con.execute("SELECT json_serialize_sql(?::VARCHAR)", [query]).fetchone()
    tree = json.loads(found[0]) if found else {}
    if tree.get("error"):
        raise QueryError(f"only one SELECT (or FROM, WITH) statement is answered: {tree['error_message']}")
    if len(tree["statements"]) != 1:
        raise QueryError(f"one statement is answered at a time, not {len(tree['statements'])}")
    named: set[str] = set()
    defined: set[str] = set()
    for node in _nodes(tree):
        if node.get("type") == "BASE_TABLE" and not node.get("schema_name") and not node.get("catalog_name"):
            named.add(str(node["table_name"]))
        if node.get("function_name") in _REFUSED:
            raise QueryError(
                f"{node['function_name']}() hides which tables are read; name them in the statement"
            )
        if isinstance(cte := node.get("cte_map"), dict):
            defined.update(str(entry["key"]) for entry in cte.get("map", ()))
    return named - defined


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    if isinstance(tree, dict):
        yield tree
        for value in tree.values():
            yield from _nodes(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _nodes(value)


def _plainly(error: duckdb.Error) -> str:
    """Give DuckDB's message without the C++ it may end with."""
    return str(error).split("\n\nStack Trace")[0].strip()
