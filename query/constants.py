"""What of a statement follows from no table: its constants, values of parameters, and tables of those."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from copy import deepcopy
from functools import cached_property
from typing import Any

import pyarrow as pa

from . import duck
from .clauses import Column, Node, called, column, definitions, leaves, parts, selects

MOST = 10_000
"""More rows than these are no list of names."""
_INLINE = {"SUBQUERY", "TABLE_FUNCTION", "EXPRESSION_LIST"}
"""What a FROM clause has that names no table itself."""
_CANDIDATES = "candidates"
_ANY = "\x01"
"""Stands for any text that nobody names."""


class Constants:
    """Evaluates the parts of one statement that name no table."""

    def __init__(self, statement: duck.Statement, params: duck.Params) -> None:
        """Take the statement and the values of its parameters."""
        self._statement, self._params = statement, params
        self.said = statement.texts(params)
        """The texts that it has, and is given."""

    def texts(self, node: Node, names: Collection[str]) -> list[str]:
        """List the texts that an expression is, or has, where no table of views or the catalog is in it.

        It may speak of the columns of one table of constants; `names` are columns that others have, too.
        """
        found = self._statement.text(node, self._params)
        if found is not None:
            return [found]
        keys = {key for part in parts(node) if (key := column(part)) is not None}
        places = {place for key in keys if (place := self.place(key, names)) is not None}
        if len(places) < len(keys) or len({place.alias for place in places}) > 1:
            return []
        alias = next((place.alias for place in places), None)
        tables = {} if alias is None else {alias: self._tables[alias]}
        select = deepcopy(duck.parse("SELECT 1" if alias is None else f'SELECT 1 FROM "{alias}"').node)
        rows = self._run({**select, "select_list": [node]}, tables)
        return [] if rows is None else _texts(rows.column(0).to_pylist())

    def select(self, node: Node) -> list[tuple[Any, ...]] | None:
        """Give the rows of a SELECT that follows from no table; None for any other."""
        rows = self._run(node)
        return None if rows is None else [tuple(row.values()) for row in rows.to_pylist()]

    def place(self, key: Column, names: Collection[str]) -> Column | None:
        """Find a column in a table of constants: by its alias, or as the only one of a name of its own."""
        there = [
            alias
            for alias, table in self._tables.items()
            if key.name in table.column_names and (alias == key.alias if key.alias else key.name not in names)
        ]
        return Column(there[0], key.name) if len(there) == 1 else None

    def rows(self, alias: str) -> list[dict[str, Any]]:
        """Give the rows of a table of constants."""
        rows: list[dict[str, Any]] = self._tables[alias].to_pylist()
        return rows

    def admitted(self, condition: Node, key: Column, texts: Collection[str]) -> set[str]:
        """Give those of some texts for which a condition on one column holds, and that it means.

        What holds for null, for any text, or for a text with something before or behind it, means no name.
        """
        tried = [each for text in texts for each in (text, f"{text}{_ANY}", f"{_ANY}{text}")]
        select = deepcopy(duck.parse(f'SELECT "{key.name}" FROM {_CANDIDATES}').node)
        own = deepcopy(condition)
        for part in parts(own):
            if column(part) == key:
                part["column_names"][:] = [key.name]
        table = pa.table({key.name: pa.array([None, _ANY, *tried], pa.string())})
        rows = self._run({**select, "where_clause": own}, {_CANDIDATES: table})
        found = set() if rows is None else {*rows.column(0).to_pylist()}
        loose = {None, _ANY} & found
        return {
            each
            for each in texts
            if each in found and not loose | ({f"{each}{_ANY}", f"{_ANY}{each}"} & found)
        }

    @cached_property
    def _defined(self) -> dict[str, Node]:
        """What a WITH defines, by name."""
        return dict(definitions(self._statement.tree))

    @cached_property
    def _tables(self) -> dict[str, pa.Table]:
        """The tables of constants that FROM clauses have, by alias: VALUES, lists, SELECTs of constants."""
        found: dict[str, pa.Table] = {}
        whole = duck.parse("SELECT * FROM x").node
        for node in selects(self._statement.tree):
            for leaf in leaves(node.get("from_table")):
                name = str(leaf.get("table_name") or "").lower()
                defined = self._defined.get(name) if leaf.get("type") == "BASE_TABLE" else None
                if defined is None and leaf.get("type") not in _INLINE:
                    continue
                rows = self._run({**whole, "from_table": leaf})
                if rows is not None and len(rows) <= MOST:
                    found[called(leaf)] = rows.rename_columns([each.lower() for each in rows.column_names])
        return found

    def _run(self, node: Node, tables: Mapping[str, pa.Table] | None = None) -> pa.Table | None:
        """Run a SELECT that names no table but these, and what a WITH defines of constants; else None."""
        used = self._used(node)
        entries = [entry for name, entry in self._entries if name in used]
        return duck.run_tree({**node, "cte_map": {"map": entries}}, self._params, tables or {})

    @cached_property
    def _entries(self) -> list[tuple[str, Any]]:
        """What a WITH anywhere says, in order, each after its name."""
        maps = (part.get("cte_map") or {} for part in parts(self._statement.tree))
        return [(str(entry["key"]).lower(), entry) for each in maps for entry in each.get("map", ())]

    def _used(self, node: Node, known: frozenset[str] = frozenset()) -> frozenset[str]:
        """List what a WITH defines and a SELECT uses, itself or through others."""
        for part in parts(node):
            name = str(part.get("table_name") or "").lower()
            if part.get("type") == "BASE_TABLE" and name in self._defined and name not in known:
                known = self._used(self._defined[name], known | {name})
        return known


def _texts(values: Iterable[Any]) -> list[str]:
    """List the texts among some values, and in lists among them, each once."""
    flat = (each for value in values for each in (value if isinstance(value, list) else [value]))
    return list(dict.fromkeys(each for each in flat if isinstance(each, str)))
