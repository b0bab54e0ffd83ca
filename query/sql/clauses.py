"""The clauses of a SELECT in the tree that DuckDB's parser makes of a statement."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

Node = Mapping[str, Any]
"""A part of what DuckDB's parser makes of a statement."""


def parts(tree: Any) -> Iterator[Node]:
    """List all parts of a statement's tree, each before what is in it."""
    if isinstance(tree, dict):
        yield tree
        for value in tree.values():
            yield from parts(value)
    if isinstance(tree, list):
        for value in tree:
            yield from parts(value)


class Column(NamedTuple):
    """A column as a statement writes it, in lower case."""

    alias: str
    """What stands before the dot; "" for nothing."""
    name: str


def column(part: Node) -> Column | None:
    """Give the column that a part of a tree speaks of; None where of none."""
    if part.get("class") != "COLUMN_REF":
        return None
    *before, name = (str(each).lower() for each in part["column_names"])
    return Column(before[-1] if before else "", name)


def columns(tree: Any) -> set[Column]:
    """Give the columns that a part of a statement speaks of, with all that is in it."""
    return {key for part in parts(tree) if (key := column(part)) is not None}


def selects(tree: Any) -> list[Node]:
    """List all SELECTs in a statement."""
    return [part for part in parts(tree) if part.get("type") == "SELECT_NODE"]


@dataclass(frozen=True, slots=True)
class Nested:
    """A SELECT of a statement, and where in it."""

    node: Node
    """The SELECT."""
    around: tuple[Node, ...]
    """Those around it, nearest first."""
    speaks_of: tuple[Node, ...]
    """Those of them of which it says something: none, where it has to have no rows (NOT EXISTS)."""


def nested(tree: Any, around: tuple[Node, ...] = (), speaks_of: tuple[Node, ...] = ()) -> Iterator[Nested]:
    """List all SELECTs in a statement, each after those around it."""
    if isinstance(tree, list):
        for each in tree:
            yield from nested(each, around, speaks_of)
    elif isinstance(tree, dict):
        if tree.get("type") == "SELECT_NODE":
            yield Nested(tree, around, speaks_of)
            around, speaks_of = (tree, *around), (tree, *speaks_of)
        denied = tree.get("type") == "OPERATOR_NOT" and tree["children"][0].get("class") == "SUBQUERY"
        for each in tree.values():
            yield from nested(each, around, () if denied else speaks_of)


def arguments(function: Node) -> list[Node]:
    """List what a function is applied to."""
    if "arguments" in function:  # DuckDB 2
        return [argument["expression"] for argument in function["arguments"]]
    return list(function["children"])


def definitions(tree: Any) -> Iterator[tuple[str, Node]]:
    """List what a WITH defines anywhere in a statement, each after its name."""
    for part in parts(tree):
        for entry in (part.get("cte_map") or {}).get("map", ()):
            value = entry["value"]
            node = value["query_node"] if "query_node" in value else value["query"]["node"]  # DuckDB 2, 1
            yield str(entry["key"]).lower(), node


def must_hold(node: Node) -> Iterator[Node]:
    """List what has to hold of each row: the parts of WHERE and of the joins' ON."""
    yield from conjuncts(node.get("where_clause"))
    for join in joins(node.get("from_table")):
        yield from conjuncts(join.get("condition"))


def conjuncts(condition: Any) -> Iterator[Node]:
    """List what a condition says, part by part, where an AND joins them; nothing of no condition."""
    if isinstance(condition, dict):
        if condition.get("type") == "CONJUNCTION_AND":
            for child in condition["children"]:
                yield from conjuncts(child)
        else:
            yield condition


def joins(tree: Any) -> Iterator[Node]:
    """List the joins of a FROM clause."""
    if isinstance(tree, dict) and tree.get("type") == "JOIN":
        yield tree
        yield from joins(tree["left"])
        yield from joins(tree["right"])


def leaves(tree: Any) -> Iterator[Node]:
    """List what a FROM clause joins."""
    if isinstance(tree, dict) and tree.get("type") == "JOIN":
        yield from leaves(tree["left"])
        yield from leaves(tree["right"])
    elif isinstance(tree, dict):
        yield tree


def called(leaf: Node) -> str:
    """Give the name by which a FROM clause calls what it joins, in lower case; one of ours where by none."""
    return str(leaf.get("alias") or leaf.get("table_name") or f"unnamed {id(leaf)}").lower()
