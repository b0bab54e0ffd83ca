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
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from . import duck
from .clauses import Node, arguments, called, conjuncts, definitions, selects
from .constants import Constants
from .from_clause import Columns, Condition, Known, Leaf, Lookup
from .pruning import OneOf
from .settled import superset

MOST = 20_000
"""More values than these are no hint."""


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
    if not views or statement.defined & {*views, *catalog}:
        return {}
    nodes, defined = selects(statement.tree), [node for _, node in definitions(statement.tree)]
    known = Known(views, catalog, params, lookup, constants, defined)
    once = {name for name in views if sum(_names(node, name) for node in nodes) == 1}
    found: dict[str, list[OneOf]] = {}
    for node in nodes:
        joined = known.read(node.get("from_table"))
        if joined is None:
            continue
        where = conjuncts(node.get("where_clause"))
        conditions = [*joined.held, *(Condition(each, joined.seen) for each in where)]
        for leaf in joined.leaves:
            if leaf.table in once:
                each = _of_joins(leaf, joined.leaves, conditions, node, known)
                found.setdefault(leaf.table, []).extend(each)
                found[leaf.table].extend(_of_subqueries(leaf, conditions, known))
                found[leaf.table].extend(_of_rows(leaf, conditions, known))
    return {name: each for name, each in found.items() if each}


def lookup_in(tables: Mapping[str, pa.Table]) -> Lookup:
    """Make what answers a SELECT over these tables with all rows that it can give."""

    def answer(node: Node, params: duck.Params) -> pa.Table | None:
        whole = superset(node)
        return None if whole is None else duck.run_tree(whole, params, tables)

    return answer


def _of_joins(
    leaf: Leaf, leaves: Sequence[Leaf], conditions: Sequence[Condition], node: Node, known: Known
) -> Iterator[OneOf]:
    """Find what filters on the catalog's tables leave of the columns that a view is joined by."""
    for other in leaves:
        small = other.rows is not None or other.table in known.catalog
        pairs = list(_pairs(leaf, other, leaves, conditions, node)) if small else []
        if not pairs:
            continue
        rows = _left(other, [theirs for _, theirs in pairs], conditions, known)
        if rows is not None:
            for (mine, _), column in zip(pairs, rows.columns, strict=True):
                yield from _one_of(leaf, mine, column)


def _left(
    leaf: Leaf, columns: Sequence[str], conditions: Sequence[Condition], known: Known
) -> pa.Table | None:
    """Look up some columns of a small table where the conditions on it hold; None where there are none."""
    if leaf.rows is not None:
        return leaf.rows.select(columns)
    own = [each.node for each in conditions if each.is_about(leaf)]
    return known.lookup(_select(leaf, columns, own), known.params) if own else None


def _of_subqueries(leaf: Leaf, conditions: Sequence[Condition], known: Known) -> Iterator[OneOf]:
    """Find what `column IN (SELECT …)` and `(a, b) IN (SELECT …)` leave, where that is over the catalog."""
    for condition in conditions:
        each = condition.node
        if each.get("subquery_type") != "ANY" or each.get("comparison_type") != "COMPARE_EQUAL":
            continue
        names = [condition.resolved(column) for column in _asked(each["child"])]
        mine = leaf.alias in {name[0] for name in names if name}
        rows = known.lookup(each["subquery"]["node"], known.params) if mine else None
        if rows is None or rows.num_columns != len(names):
            continue
        for name, column in zip(names, rows.columns, strict=True):
            if name is not None and name[0] == leaf.alias:
                yield from _one_of(leaf, name[1], column)


def _of_rows(leaf: Leaf, conditions: Sequence[Condition], known: Known) -> Iterator[OneOf]:
    """Find what `(a, b) = ('x', 'y')` and `(a, b) IN (('x', 'y'), …)` leave of columns of text."""
    for condition in conditions:
        each = condition.node
        one, *others = each["children"] if each.get("type") == "COMPARE_IN" else _equal(each)
        if any(side.get("function_name") != "row" for side in (one, *others)):
            continue
        rows = [arguments(row) for row in others]
        for place, name in enumerate(map(condition.resolved, arguments(one))):
            texts = [duck.text(row[place], known.params) if place < len(row) else None for row in rows]
            if name is not None and name[0] == leaf.alias and None not in texts:
                yield from _one_of(leaf, name[1], pa.chunked_array([pa.array(texts, pa.string())]))


def _equal(condition: Node) -> list[Node]:
    """Give the two sides of an equation; one that is no row for anything else."""
    equal = condition.get("class") == "COMPARISON" and condition.get("type") == "COMPARE_EQUAL"
    return [condition["left"], condition["right"]] if equal else [{}]


def _asked(child: Node) -> list[Node]:
    """List what stands before IN: a row's expressions, or the one that there is."""
    return arguments(child) if child.get("function_name") == "row" else [child]


def _one_of(leaf: Leaf, name: str, values: pa.ChunkedArray[Any]) -> Iterator[OneOf]:
    """Say that a view's column has one of some values, where they are of one type; none leave nothing."""
    assert leaf.schema is not None
    mine, whole, text = leaf.schema.field(name).type, pa.types.is_integer, pa.types.is_string
    if not any(each(mine) and each(values.type) for each in (whole, text)):
        return
    left = values.unique().drop_null()
    if len(left) <= MOST:
        there: list[Any] = left.to_pylist()
        if whole(mine):  # others are equal to nothing in it
            most = 2 ** (mine.bit_width - 1)
            there = [each for each in there if -most <= each < most]
        yield OneOf(name, sorted(there))


def _pairs(
    mine: Leaf, other: Leaf, leaves: Sequence[Leaf], conditions: Sequence[Condition], node: Node
) -> Iterator[tuple[str, str]]:
    """List the columns by which two tables are joined."""
    for names, left, right in _using(node.get("from_table"), {leaf.alias for leaf in leaves}):
        sides = (mine.alias in left and other.alias in right) or (mine.alias in right and other.alias in left)
        for name in names if sides else ():
            both = [leaf for leaf in leaves if leaf.alias in left | right and name in leaf.columns]
            if {leaf.alias for leaf in both} == {mine.alias, other.alias}:
                yield name, name
    for each in conditions:
        ends = dict(filter(None, (each.resolved(side) for side in _equal(each.node))))
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


def _select(leaf: Leaf, columns: Sequence[str], conditions: Sequence[Node]) -> Node:
    """Write a SELECT of some columns of a table, where conditions hold."""
    names = ", ".join(f'"{leaf.alias}"."{column}"' for column in columns)
    whole: dict[str, Any] = json.loads(
        json.dumps(duck.parse(f'SELECT DISTINCT {names} FROM "{leaf.table}" AS "{leaf.alias}"').node)
    )
    both = {"class": "CONJUNCTION", "type": "CONJUNCTION_AND", "alias": "", "query_location": 0}
    whole["where_clause"] = conditions[0] if len(conditions) == 1 else {**both, "children": list(conditions)}
    return whole
