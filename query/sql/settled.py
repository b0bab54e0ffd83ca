"""Which SELECTs and conditions can be run ahead of a statement: those that give the same each time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .clauses import Node, parts

_PLAIN = {"COLUMN_REF", "CONSTANT", "PARAMETER", "COMPARISON", "CONJUNCTION", "OPERATOR", "BETWEEN", "CAST"}
_PURE = {"lower", "upper", "starts_with", "ends_with", "contains", "like_escape", "regexp_matches", "length"}
_IN_SELECT = {*_PLAIN, "CASE", "STAR", "SUBQUERY"}
_AGGREGATES = {"min", "max", "count", "count_star"}
"""Aggregates that are the same in whatever order rows come."""
_CLOCK = {"current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"}
"""What looks like a column, and is another value each time."""


def superset(node: Node) -> Node | None:
    """Give a SELECT whose rows, whenever it is run, hold all that this one can give; None for none.

    What is looked up ahead is another run than the statement's own. So nothing in it may be drawn by chance
    or follow from a clock. A LIMIT may take other rows each time, so the outermost is left away, and where
    there is one further inside, or a sample, or what only a LIMIT ends, nothing is looked up.
    """
    found = {**node, "modifiers": []}
    every = list(parts(found))
    endless = any(part.get("type") == "RECURSIVE_CTE_NODE" for part in every)
    if endless or any(map(chooses, every)) or not all(map(_is_settled, within(found))):
        return None
    return found


def is_pure(expression: Node) -> bool:
    """Tell whether an expression follows from the columns of one row alone."""
    if expression.get("class") == "FUNCTION":
        return bool(expression.get("is_operator")) or expression.get("function_name") in _PURE
    return expression.get("class") in _PLAIN and not is_clock(expression)


def within(tree: Any) -> Iterator[Node]:
    """List an expression and all expressions in it."""
    return (part for part in parts(tree) if "class" in part)


def _is_settled(expression: Node) -> bool:
    if expression.get("class") == "FUNCTION":
        return is_pure(expression) or expression.get("function_name") in _AGGREGATES
    return expression.get("class") in _IN_SELECT and not is_clock(expression)


def is_clock(expression: Node) -> bool:
    """Tell whether what looks like a column is another value each time."""
    return any(str(each).lower() in _CLOCK for each in expression.get("column_names", ()))


def chooses(part: Node) -> bool:
    """Tell whether a part of a statement takes some rows of several, and may take others each time."""
    limited = part.get("type") in ("LIMIT_MODIFIER", "LIMIT_PERCENT_MODIFIER")
    return bool(limited or part.get("distinct_on_targets") or part.get("sample"))
