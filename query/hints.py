"""What joins with the catalog's tables leave of a view, found before the view is scanned.

`head_contributions JOIN images USING (image_set, image_id) WHERE label = 'dog'` touches the units with dogs
in them and no others, but DuckDB 2.0 tells a scan about filters on its own columns only (1.5 also about what
a join leaves). So where a SELECT joins a view with a table of the catalog and filters that, or asks for what
is IN a subquery over such tables, the values that are left are looked up first, and units without any of them
are left out. The statement itself is run as it stands: what is found here only ever leaves out rows that the
join would drop.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from . import duck
from .clauses import Node, arguments, called, definitions, must_hold, parts, selects
from .constants import Constants
from .pruning import OneOf
from .settled import chooses, is_pure, superset, within

MOST = 20_000
"""More values than these are no hint."""

Columns = Mapping[str, Sequence[str]]
"""The columns of the tables that a statement names, by the tables' names."""
Lookup = Callable[[Node, duck.Params], pa.Table | None]
"""Gives all rows that a SELECT over the catalog's tables alone can give; None where that is not plain."""


@dataclass(frozen=True, slots=True)
class _Leaf:
    """A table in a FROM clause."""

    table: str
    alias: str
    columns: Sequence[str]
    rows: pa.Table | None = None
    """Its rows, where it is a subquery over the catalog's tables."""
    schema: pa.Schema | None = None
    """The types of its columns, where it is a view."""


def hints(
    statement: duck.Statement,
    params: duck.Params,
    views: Mapping[str, pa.Schema],
    catalog: Columns,
    lookup: Lookup,
    constants: Constants,
) -> dict[str, list[OneOf]]:
    """Find, for views that a statement names once, conditions that hold for all rows it can use.

    Args:
        statement: The statement.
        params: The values of its parameters.
        views: The views that it names, with the types of their columns.
        catalog: The tables of the catalog that it names, with theirs.
        lookup: Answers a SELECT over the catalog's tables.
        constants: Evaluates what of the statement follows from no table.
    """
    nodes = selects(statement.tree)
    known = _Known(
        views, catalog, params, lookup, constants, [node for _, node in definitions(statement.tree)]
    )
    if not views or statement.defined & {*views, *catalog}:
        return {}
    once = {name for name in views if sum(_names(node, name) for node in nodes) == 1}
    found: dict[str, list[OneOf]] = {}
    for node in nodes:
        leaves = _leaves(node.get("from_table"), known)
        conditions = list(must_hold(node)) if leaves else []
        for leaf in leaves:
            if leaf.table in once:
                each = _of_joins(leaf, leaves, conditions, node, catalog, params, lookup)
                found.setdefault(leaf.table, []).extend(each)
                found[leaf.table].extend(_of_subqueries(leaf, leaves, conditions, params, lookup))
                found[leaf.table].extend(_of_rows(leaf, leaves, conditions, params))
    return {name: each for name, each in found.items() if each}


def lookup_in(tables: Mapping[str, pa.Table]) -> Lookup:
    """Make what answers a SELECT over these tables with all rows that it can give."""

    def answer(node: Node, params: duck.Params) -> pa.Table | None:
        whole = superset(node)
        return None if whole is None else duck.run_tree(whole, params, tables)

    return answer


def _of_joins(
    leaf: _Leaf,
    leaves: Sequence[_Leaf],
    conditions: Sequence[Node],
    node: Node,
    catalog: Columns,
    params: duck.Params,
    lookup: Lookup,
) -> Iterator[OneOf]:
    """Find what filters on the catalog's tables leave of the columns that a view is joined by."""
    for other in leaves:
        small = other.rows is not None or other.table in catalog
        pairs = list(_pairs(leaf, other, leaves, conditions, node)) if small else []
        if not pairs:
            continue
        rows = _left(other, [theirs for _, theirs in pairs], leaves, conditions, params, lookup)
        if rows is not None:
            for (mine, _), column in zip(pairs, rows.columns, strict=True):
                yield from _one_of(leaf, mine, column)


def _left(
    leaf: _Leaf,
    columns: Sequence[str],
    leaves: Sequence[_Leaf],
    conditions: Sequence[Node],
    params: duck.Params,
    lookup: Lookup,
) -> pa.Table | None:
    """Look up some columns of a small table where the conditions on it hold; None where there are none."""
    if leaf.rows is not None:
        return leaf.rows.select(columns)
    own = [each for each in conditions if _refers_only_to(each, leaf, leaves)]
    return lookup(_select(leaf, columns, own), params) if own else None


def _of_subqueries(
    leaf: _Leaf,
    leaves: Sequence[_Leaf],
    conditions: Sequence[Node],
    params: duck.Params,
    lookup: Lookup,
) -> Iterator[OneOf]:
    """Find what `column IN (SELECT …)` and `(a, b) IN (SELECT …)` leave, where that is over the catalog."""
    for each in conditions:
        if each.get("subquery_type") != "ANY" or each.get("comparison_type") != "COMPARE_EQUAL":
            continue
        asked = _asked(each["child"])
        names = [_resolved(column, leaves) for column in asked]
        rows = (
            lookup(each["subquery"]["node"], params) if (leaf.alias in {n[0] for n in names if n}) else None
        )
        if rows is None or rows.num_columns != len(names):
            continue
        for name, column in zip(names, rows.columns, strict=True):
            if name is not None and name[0] == leaf.alias:
                yield from _one_of(leaf, name[1], column)


def _of_rows(
    leaf: _Leaf, leaves: Sequence[_Leaf], conditions: Sequence[Node], params: duck.Params
) -> Iterator[OneOf]:
    """Find what `(a, b) = ('x', 'y')` and `(a, b) IN (('x', 'y'), …)` leave of columns of text."""
    for each in conditions:
        one, *others = each["children"] if each.get("type") == "COMPARE_IN" else _equal(each)
        if any(side.get("function_name") != "row" for side in (one, *others)):
            continue
        rows = [arguments(row) for row in others]
        for place, name in enumerate(_resolved(column, leaves) for column in arguments(one)):
            texts = [duck.text(row[place], params) if place < len(row) else None for row in rows]
            if name is not None and name[0] == leaf.alias and None not in texts:
                yield from _one_of(leaf, name[1], pa.chunked_array([pa.array(texts, pa.string())]))


def _equal(condition: Node) -> list[Node]:
    """Give the two sides of an equation; one that is no row for anything else."""
    equal = condition.get("class") == "COMPARISON" and condition.get("type") == "COMPARE_EQUAL"
    return [condition["left"], condition["right"]] if equal else [{}]


def _asked(child: Node) -> list[Node]:
    """List what stands before IN: a row's expressions, or the one that there is."""
    return arguments(child) if child.get("function_name") == "row" else [child]


def _one_of(leaf: _Leaf, name: str, values: pa.ChunkedArray[Any]) -> Iterator[OneOf]:
    """Say that a view's column has one of some values, where they are of one type; none leave nothing."""
    assert leaf.schema is not None
    mine, whole, text = leaf.schema.field(name).type, pa.types.is_integer, pa.types.is_string
    if not any(each(mine) and each(values.type) for each in (whole, text)):
        return
    left = values.unique().drop_null()
    if len(left) <= MOST:
        yield OneOf(name, sorted(left.to_pylist()))


def _pairs(
    mine: _Leaf, other: _Leaf, leaves: Sequence[_Leaf], conditions: Sequence[Node], node: Node
) -> Iterator[tuple[str, str]]:
    """List the columns by which two tables are joined."""
    for names, left, right in _using(node.get("from_table"), {leaf.alias for leaf in leaves}):
        sides = (mine.alias in left and other.alias in right) or (mine.alias in right and other.alias in left)
        for name in names if sides else ():
            both = [leaf for leaf in leaves if leaf.alias in left | right and name in leaf.columns]
            if {leaf.alias for leaf in both} == {mine.alias, other.alias}:
                yield name, name
    for each in conditions:
        if each.get("type") != "COMPARE_EQUAL" or each.get("class") != "COMPARISON":
            continue
        ends = dict(filter(None, (_resolved(each[side], leaves) for side in ("left", "right"))))
        if mine.alias in ends and other.alias in ends and mine.alias != other.alias:
            yield ends[mine.alias], ends[other.alias]


def _using(tree: Any, known: set[str]) -> Iterator[tuple[list[str], set[str], set[str]]]:
    """List the USING clauses of joins, each with the aliases on its sides."""
    if isinstance(tree, dict) and tree.get("type") == "JOIN":
        names = [str(name).lower() for name in tree.get("using_columns") or ()]
        if names:
            yield names, _aliases(tree["left"]) & known, _aliases(tree["right"]) & known
        yield from _using(tree["left"], known)
        yield from _using(tree["right"], known)


def _aliases(tree: Node) -> set[str]:
    if tree.get("type") == "JOIN":
        return _aliases(tree["left"]) | _aliases(tree["right"])
    return {called(tree)}


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of the tables that a statement can join."""

    views: Mapping[str, pa.Schema]
    catalog: Columns
    params: duck.Params
    lookup: Lookup
    constants: Constants
    defined: Sequence[Node]
    """What a WITH defines anywhere."""


def _leaves(tree: Any, known: _Known) -> list[_Leaf]:
    """List the tables of a FROM clause of inner and semi joins of what is known; else nothing.

    Known are views, tables of the catalog, subqueries over the latter, and tables of constants, as VALUES.
    """
    if not isinstance(tree, dict):
        return []
    if tree.get("type") == "JOIN":
        plain = tree.get("ref_type") in ("REGULAR", "CROSS") and tree.get("join_type") in ("INNER", "SEMI")
        left = _leaves(tree["left"], known) if plain else []
        right = _leaves(tree["right"], known) if left else []
        return [*left, *right] if right else []
    name = str(tree.get("table_name", "")).lower()
    if name in known.views or name in known.catalog:
        plain = not (tree.get("schema_name") or tree.get("sample") or tree.get("column_name_alias"))
        if tree.get("type") != "BASE_TABLE" or not plain:
            return []
        schema = known.views.get(name)
        return [_Leaf(name, called(tree), schema.names if schema else known.catalog[name], schema=schema)]
    rows = _rows(tree, known)
    return [] if rows is None else [_Leaf("", called(tree), rows.column_names, rows)]


def _rows(tree: Node, known: _Known) -> pa.Table | None:
    """Give the rows of what a FROM clause joins, where they can be told ahead."""
    if tree.get("type") == "SUBQUERY" and not tree.get("column_name_alias"):
        rows = known.lookup(tree["subquery"]["node"], known.params)
        if rows is not None:
            return rows
    if any(map(chooses, parts([tree, *known.defined]))):
        return None  # it is another run than the statement's, and may take others
    relation = known.constants.relation(tree)
    return relation.rows if relation is not None and relation.rows.num_columns else None


def _resolved(expression: Any, leaves: Sequence[_Leaf]) -> tuple[str, str] | None:
    """Find which table's column an expression is: its alias and its name; None where that is not plain.

    Of several tables with the column it is the first one's: USING made them equal, or the others are of a
    semi join and not seen.
    """
    if not isinstance(expression, dict) or expression.get("type") != "COLUMN_REF":
        return None
    *table, name = (str(each).lower() for each in expression["column_names"])
    owners = [leaf for leaf in leaves if name in leaf.columns and (not table or table == [leaf.alias])]
    return (owners[0].alias, name) if owners and len(table) < 2 else None


def _refers_only_to(condition: Node, leaf: _Leaf, leaves: Sequence[_Leaf]) -> bool:
    """Tell whether a condition is about one table's columns alone, and is the same for each of its rows."""
    found = list(within(condition))
    columns = [each for each in found if each.get("class") == "COLUMN_REF"]
    owners = [_resolved(each, leaves) for each in columns]
    mine = bool(columns) and all(owner is not None and owner[0] == leaf.alias for owner in owners)
    return mine and all(is_pure(each) for each in found)


def _names(node: Node, name: str) -> int:
    """Count how often a SELECT names a table itself, and not in another SELECT inside it."""

    def count(tree: Any) -> int:
        if isinstance(tree, list):
            return sum(map(count, tree))
        if not isinstance(tree, dict) or tree.get("type") == "SELECT_NODE":
            return 0
        mine = tree.get("type") == "BASE_TABLE" and str(tree.get("table_name", "")).lower() == name
        return mine + sum(map(count, tree.values()))

    return sum(map(count, node.values()))


def _select(leaf: _Leaf, columns: Sequence[str], conditions: Sequence[Node]) -> Node:
    """Write a SELECT of some columns of a table, where conditions hold."""
    names = ", ".join(f'"{leaf.alias}"."{column}"' for column in columns)
    whole: dict[str, Any] = json.loads(
        json.dumps(duck.parse(f'SELECT DISTINCT {names} FROM "{leaf.table}" AS "{leaf.alias}"').node)
    )
    both = {"class": "CONJUNCTION", "type": "CONJUNCTION_AND", "alias": "", "query_location": 0}
    whole["where_clause"] = conditions[0] if len(conditions) == 1 else {**both, "children": list(conditions)}
    return whole
