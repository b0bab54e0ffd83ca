"""What of a statement follows from no table: its constants, values of parameters, and tables of those."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import pyarrow as pa

from . import duck
from .clauses import Column, Node, called, column, columns, definitions, leaves, parts

ROWS = 10_000
"""More rows than these are no list of names."""
_INLINE = {"SUBQUERY", "TABLE_FUNCTION", "EXPRESSION_LIST"}
"""What a FROM clause has that names no table itself."""
_GIVEN = "given"
_ANY = "\x01"
"""Stands for any text that nobody names."""


class Constants:
    """Evaluates the parts of one statement that name no table."""

    def __init__(self, statement: duck.Statement, params: duck.Params) -> None:
        """Take the statement and the values of its parameters."""
        self._statement, self.params = statement, params
        self.said = statement.texts(params)
        """The texts that it has, and is given."""
        self._known: dict[int, dict[str, Relation]] = {}

    def scope(self, selects: Sequence[Node]) -> dict[str, Relation]:
        """Give the tables of constants that a SELECT sees, by alias: its own, and those of SELECTs around."""
        found: dict[str, Relation] = {}
        for select in selects:
            for alias, relation in self._of(select).items():
                found.setdefault(alias, relation)
        return found

    def _of(self, select: Node) -> dict[str, Relation]:
        if id(select) not in self._known:
            mine = self._known[id(select)] = {}
            for leaf in leaves(select.get("from_table")):
                if (relation := self.relation(leaf)) is not None:
                    mine[called(leaf)] = relation
        return self._known[id(select)]

    def relation(self, leaf: Node) -> Relation | None:
        """Give the table of constants that a FROM clause joins; None for any other, and with a collation."""
        name = str(leaf.get("table_name") or "").lower()
        if leaf.get("type") not in _INLINE and (
            leaf.get("type") != "BASE_TABLE" or name not in self._defined
        ):
            return None
        if any(part.get("class") == "COLLATE" for part in parts([leaf, self._defined.get(name)])):
            return None  # its texts are equal to others, too
        relation = Relation(self, leaf)
        return relation if relation.columns else None

    def select(self, node: Node) -> list[tuple[Any, ...]] | None:
        """Give the rows of a SELECT that follows from no table; None for any other, and for too many."""
        rows = self.run(node)
        return None if rows is None else [tuple(row.values()) for row in rows.to_pylist()]

    def admitted(self, condition: Node, key: Column, texts: Collection[str]) -> set[str]:
        """Give those of some texts for which a condition on one column holds, and that it means.

        What holds for null, for any text, or for a text with something before or behind it, means no name.
        """
        tried = [each for text in texts for each in (text, f"{text}{_ANY}", f"{_ANY}{text}")]
        own = deepcopy(condition)
        for part in parts(own):
            if column(part) == key:
                part["column_names"][:] = [key.name]
        table = pa.table({key.name: pa.array([None, _ANY, *tried], pa.string())})
        rows = self.run({**_select(_GIVEN), "where_clause": own}, {_GIVEN: table}, most=len(table))
        found = set() if rows is None else {*rows.column(0).to_pylist()}
        loose = {None, _ANY} & found
        return {
            each
            for each in texts
            if each in found and not loose | ({f"{each}{_ANY}", f"{_ANY}{each}"} & found)
        }

    def run(
        self, node: Node, tables: Mapping[str, pa.Table] | None = None, most: int = ROWS
    ) -> pa.Table | None:
        """Run a SELECT that names no table but these, and what a WITH defines of constants.

        None for any other, for one that reads files or a clock, and for one of more rows than `most`.
        """
        given = tables or {}
        used = self._used(node) - given.keys()
        entries = [entry for name, entry in self._entries if name in used]
        bounded = {**_select(_GIVEN), "from_table": _subquery(node), "modifiers": [_limit(most + 1)]}
        whole = {**bounded, "cte_map": {"map": entries}}
        if duck.unsettled(whole):
            return None
        rows = duck.run_tree(whole, self.params, given)
        return None if rows is None or len(rows) > most else rows

    @cached_property
    def _defined(self) -> dict[str, Node]:
        """What a WITH defines, by name; not what several define."""
        every = list(definitions(self._statement.tree))
        count = Counter(name for name, _ in every)
        return {name: node for name, node in every if count[name] == 1}

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


@dataclass(frozen=True, eq=False)
class Relation:
    """A table of constants in a FROM clause."""

    constants: Constants
    leaf: Node

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The names of its columns; none where it follows from tables."""
        rows = self.constants.run({**_select(_GIVEN), "from_table": self.leaf, "modifiers": [_limit(0)]})
        return () if rows is None else tuple(str(name).lower() for name in rows.column_names)

    @cached_property
    def rows(self) -> pa.Table:
        """Its rows; none where there are too many to be names."""
        found = self.constants.run({**_select(_GIVEN), "from_table": self.leaf})
        return pa.table({}) if found is None else found.rename_columns(list(self.columns))


@dataclass(frozen=True)
class Scope:
    """What one SELECT sees of constants."""

    constants: Constants
    relations: Mapping[str, Relation]
    """Tables of constants, by alias."""
    silent: frozenset[str]
    """Those whose rows need not be met, as they stand beside another table in a LEFT JOIN."""
    names: Collection[str]
    """Columns that others have, too."""

    def place(self, key: Column) -> Column | None:
        """Find a column in a table of constants: by its alias, or as the only one of a name of its own."""
        there = [
            alias
            for alias, relation in self.relations.items()
            if key.name in relation.columns
            and (alias == key.alias if key.alias else key.name not in self.names)
        ]
        return Column(there[0], key.name) if len(there) == 1 else None

    def rows(self, alias: str) -> list[dict[str, Any]]:
        """Give the rows of a table of constants that have to be met."""
        rows: list[dict[str, Any]] = [] if alias in self.silent else self.relations[alias].rows.to_pylist()
        return rows

    def texts(self, nodes: Sequence[Node]) -> list[str]:
        """List the texts that expressions are, or have, as far as they follow from constants alone.

        Each may speak of the columns of one table of constants.
        """
        found: dict[str, None] = {}
        left: dict[str, list[Node]] = {}
        for node in nodes:
            said = duck.text(node, self.constants.params)
            if said is not None:
                found[said] = None
                continue
            places = [self.place(key) for key in columns(node)]
            aliases = {place.alias for place in places if place is not None}
            if len(aliases) < 2 and None not in places and not aliases & self.silent:
                left.setdefault("".join(aliases), []).append(node)
        for alias, some in left.items():
            select: dict[str, Any] = {**_select(_GIVEN), "select_list": some}
            tables = {_GIVEN: self.relations[alias].rows} if alias else {}
            select["from_table"] = {**select["from_table"], "alias": alias} if alias else _nothing()
            rows = self.constants.run(select, tables)
            for each in () if rows is None else rows.columns:
                found |= dict.fromkeys(_texts(each.to_pylist()))
        return list(found)


def _texts(values: Iterable[Any]) -> list[str]:
    """List the texts among some values, and in lists among them."""
    flat = (each for value in values for each in (value if isinstance(value, list) else [value]))
    return [each for each in flat if isinstance(each, str)]


@cache
def _tree(query: str) -> dict[str, Any]:
    """Parse a SELECT once; what is made of it is never changed in place."""
    return dict(duck.parse(query).node)


def _select(table: str) -> dict[str, Any]:
    """Make the tree of a SELECT of all of a table."""
    return {**_tree(f"SELECT * FROM {table}")}


def _subquery(node: Node) -> Node:
    found = _tree(f"SELECT * FROM (SELECT 1) AS {_GIVEN}")["from_table"]
    return {**found, "subquery": {**found["subquery"], "node": node}}


def _nothing() -> Node:
    found: Node = _tree("SELECT 1")["from_table"]
    return found


def _limit(count: int) -> Node:
    found: Node = _tree(f"SELECT 1 LIMIT {count}")["modifiers"][0]
    return found
