"""What the FROM clause of a SELECT joins, what its joins say, and the rows that can be told ahead."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from . import duck
from .clauses import Node, called, conjuncts, parts
from .constants import Constants
from .settled import chooses, is_pure, within

Columns = Mapping[str, Sequence[str]]
"""The columns of the tables that a statement names, by the tables' names."""
Lookup = Callable[[Node, duck.Params], pa.Table | None]
"""Gives all rows that a SELECT over the catalog's tables alone can give; None where that is not plain."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A table in a FROM clause."""

    table: str
    alias: str
    columns: Sequence[str]
    rows: pa.Table | None = None
    """Its rows, where it is a subquery over the catalog's tables, or a table of constants."""
    schema: pa.Schema | None = None
    """The types of its columns, where it is a view."""


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that has to hold of each row."""

    node: Node
    scope: Sequence[Leaf]
    """The tables of which it can speak."""

    def resolved(self, expression: Any) -> tuple[str, str] | None:
        """Find which table's column an expression is: its alias and its name; None where that is not plain.

        Of several tables with the column it is the first one's: USING made them equal.
        """
        if not isinstance(expression, dict) or expression.get("type") != "COLUMN_REF":
            return None
        *table, name = (str(each).lower() for each in expression["column_names"])
        there = (leaf for leaf in self.scope if name in leaf.columns and table in ([], [leaf.alias]))
        owner = next(there, None)
        return None if owner is None else (owner.alias, name)

    def is_about(self, leaf: Leaf) -> bool:
        """Tell whether it is about one table's columns alone, and is the same for each of its rows."""
        found = list(within(self.node))
        owners = [self.resolved(each) for each in found if each.get("class") == "COLUMN_REF"]
        mine = bool(owners) and all(owner is not None and owner[0] == leaf.alias for owner in owners)
        return mine and all(is_pure(each) for each in found)


@dataclass(frozen=True, slots=True)
class From:
    """What a FROM clause joins, all of it by inner and semi joins."""

    leaves: Sequence[Leaf]
    """The tables."""
    seen: Sequence[Leaf]
    """Those of them whose columns are there after it: not those on the right of a semi join."""
    held: Sequence[Condition]
    """What its joins say."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of the tables that a statement can join."""

    views: Mapping[str, pa.Schema]
    """Views, with the types of their columns."""
    catalog: Columns
    """Tables of the catalog, with their columns."""
    params: duck.Params
    """The values of the statement's parameters."""
    lookup: Lookup
    """Answers a SELECT over the catalog's tables."""
    constants: Constants
    """Evaluates what of the statement follows from no table."""
    defined: Sequence[Node]
    """What a WITH defines anywhere in the statement."""

    def read(self, tree: Any) -> From | None:
        """Read a FROM clause of inner and semi joins of what is known; None for any other.

        Known are views, tables of the catalog, subqueries over these, and tables of constants, as VALUES.
        """
        if not isinstance(tree, dict):
            return None
        if tree.get("type") != "JOIN":
            leaf = self._leaf(tree)
            return None if leaf is None else From([leaf], [leaf], [])
        semi = tree.get("join_type") == "SEMI"
        if tree.get("ref_type") not in ("REGULAR", "CROSS") or not (semi or tree.get("join_type") == "INNER"):
            return None
        left, right = self.read(tree["left"]), self.read(tree["right"])
        if left is None or right is None:
            return None
        both = [*left.seen, *right.seen]
        own = [Condition(each, both) for each in conjuncts(tree.get("condition"))]
        seen = left.seen if semi else both
        return From([*left.leaves, *right.leaves], seen, [*left.held, *right.held, *own])

    def _leaf(self, tree: Node) -> Leaf | None:
        name = str(tree.get("table_name", "")).lower()
        if name in self.views or name in self.catalog:
            odd = tree.get("schema_name") or tree.get("sample") or tree.get("column_name_alias")
            if tree.get("type") != "BASE_TABLE" or odd:
                return None
            schema = self.views.get(name)
            return Leaf(name, called(tree), schema.names if schema else self.catalog[name], schema=schema)
        rows = next(self._rows(tree), None)
        return None if rows is None else Leaf("", called(tree), rows.column_names, rows)

    def _rows(self, tree: Node) -> Iterator[pa.Table]:
        """Give the rows of what is joined, with names in lower case, where they can be told ahead."""
        if tree.get("type") == "SUBQUERY" and not tree.get("column_name_alias"):
            rows = self.lookup(tree["subquery"]["node"], self.params)
            names = [] if rows is None else [str(name).lower() for name in rows.column_names]
            if rows is not None and len({*names}) == len(names):
                yield rows.rename_columns(names)
        if any(map(chooses, parts([tree, *self.defined]))):
            return  # it may take others than the statement's own run does
        relation = self.constants.relation(tree)
        if relation is not None and relation.rows.num_columns:
            yield relation.rows
