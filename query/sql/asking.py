"""What a statement asks for by name: the texts that columns have to have, read from its tree."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

from . import duck
from .clauses import (
    Column,
    Node,
    arguments,
    called,
    column,
    columns,
    conjuncts,
    definitions,
    joins,
    leaves,
    must_hold,
    nested,
    parts,
)
from .constants import Constants, Scope
from .options import SAME, Links, Named, Option, both_ways, given_by, linked, picked, together

_OTHER = {"COMPARE_NOTEQUAL", "COMPARE_DISTINCT_FROM", "COMPARE_NOT_IN"}
_CONTAINS = {"contains", "list_contains", "list_has", "array_contains", "array_has"}
_ROWS_OF = {"from_table", "where_clause", "cte_map", "modifiers"}
"""Parts of a SELECT that are read for themselves, or only order its rows."""


@dataclass(frozen=True)
class Asking:
    """Reads what one statement asks for.

    `image_set IN ('a', 'b') AND model = 'm'` asks for `a` with `m` and for `b` with `m`; what stands under a
    NOT asks for nothing. A column of a SELECT is one of all tables beneath its FROM that have it, unless its
    alias says of which it is; one of the catalog's tables is one of theirs where the two are joined by it.
    """

    statement: duck.Statement
    """The statement."""
    params: duck.Params
    """The values of its parameters."""

    @cached_property
    def constants(self) -> Constants:
        """What of the statement follows from no table."""
        return Constants(self.statement, self.params)

    @cached_property
    def _defined(self) -> dict[str, Node]:
        return dict(definitions(self.statement.tree))

    def of(
        self, columns: Mapping[str, Collection[str]], known: Mapping[str, Collection[str]]
    ) -> dict[str, frozenset[Named]]:
        """Find what is asked for in some columns of tables that the statement names.

        Args:
            columns: The tables, each with the names of the columns.
            known: The texts that there are, by column: of these a function of a column may be meant.
        """
        found: dict[str, set[Named]] = {table: set() for table in columns}
        every = {name for names in columns.values() for name in names}
        holding: dict[int, list[Option]] = {}
        for each in nested(self.statement.tree):
            node, places = each.node, self._places(each.node, columns)
            seen = {
                alias: there
                for outer in reversed(each.speaks_of)
                for alias, there in self._places(outer, columns).items()
            }
            relations = self.constants.scope([node, *each.speaks_of])
            scope = Scope(self.constants, relations, frozenset(_beside(node.get("from_table"))), every)
            given = given_by(node, each.around, holding)
            holding[id(node)], options = _Expressions(scope, every, known).of_select(node, given)
            for option, (alias, there) in product(options, {**seen, **places}.items()):
                for table, passed in there.items():
                    found[table].add(picked(option, alias, passed, plain=alias in places))
        return {table: frozenset(each - {()}) for table, each in found.items()}

    def _places(
        self, node: Node, columns: Mapping[str, Collection[str]]
    ) -> dict[str, dict[str, Collection[str]]]:
        """Give the aliases in a FROM clause, each with the tables beneath and their columns that it has."""
        found: dict[str, dict[str, Collection[str]]] = {}
        for leaf in leaves(node.get("from_table")):
            there = found.setdefault(called(leaf), {})
            for table in columns.keys() & {*_beneath(leaf, self._defined)}:
                there[table] = self._passed(leaf, columns[table])
        return found

    def _passed(self, leaf: Node, names: Collection[str]) -> Collection[str]:
        """List the columns that a FROM clause gives under their own names, through a subquery or a WITH."""
        if leaf.get("column_name_alias"):
            return []
        name = str(leaf.get("table_name") or "").lower()
        select = leaf["subquery"]["node"] if leaf.get("type") == "SUBQUERY" else self._defined.get(name)
        listed = (select.get("select_list") if select is not None else None) or []
        stars = [each for each in listed if each.get("class") == "STAR"]
        kept = [(column(each), str(each.get("alias") or "").lower()) for each in listed if each not in stars]
        own = {key.name for key, alias in kept if key is not None and alias in ("", key.name)}
        if listed and not stars:
            return [each for each in names if each in own]
        made = {alias for _, alias in kept} - own
        made.update(str(each["key"]).lower() for star in stars for each in star["replace_list"])
        left_out = {name for star in stars for name in _excluded(star)}
        return [each for each in names if each not in made and (each not in left_out or each in own)]


@dataclass(frozen=True)
class _Expressions:
    """Reads what the expressions of one SELECT ask for."""

    scope: Scope
    columns: Collection[str]
    """The names of the columns that matter."""
    known: Mapping[str, Collection[str]]
    """The texts that there are in them."""

    def of_select(self, node: Node, given: list[Option]) -> tuple[list[Option], list[Option]]:
        """List what all rows of a SELECT have to have, and that with all else that its expressions ask for.

        Those of SELECTs inside are left out; `given` is what it has to have because of those around it.
        """
        tree = node.get("from_table")
        rest = [each for name, each in node.items() if name not in _ROWS_OF]
        pivots = [part for part in parts(tree) if part.get("type") == "PIVOT"]
        links = [*both_ways(conjuncts(node.get("where_clause"))), *self._joined(tree)]
        held = self.all_of(must_hold(node), links, given)
        return held, [*held, *self.any_of(rest), *(option for each in pivots for option in self._pivot(each))]

    def all_of(self, nodes: Iterable[Node], links: Links = (), given: Sequence[Option] = ()) -> list[Option]:
        """Give what expressions ask for that hold together, and columns that are equal."""
        factors = [given, *map(self._read, nodes), *self._of_relations(links)]
        return [linked(each, links) for each in together(factors)]

    def _of_relations(self, links: Links) -> Iterator[list[Option]]:
        """Read tables of constants that are joined: each row asks for what columns have to have with it."""
        to: dict[str, list[tuple[str, Column]]] = {}
        for one, other in links:
            place = self.scope.place(one)
            if place is not None and other.name in self.columns and self.scope.place(other) is None:
                to.setdefault(place.alias, []).append((place.name, other))
        for alias, pairs in to.items():
            texts = [[(key, row.get(name)) for name, key in pairs] for row in self.scope.rows(alias)]
            yield [{key: text for key, text in row if isinstance(text, str)} for row in texts]

    def any_of(self, nodes: Iterable[Any]) -> list[Option]:
        """Give what expressions ask for, each by itself, wherever they stand; not those of other SELECTs."""
        found: list[Option] = []
        for node in nodes:
            if isinstance(node, list):
                found += self.any_of(node)
            elif isinstance(node, dict) and "class" in node:
                found += [] if node["class"] == "LAMBDA" else self._read(node)
            elif isinstance(node, dict) and node.get("type") != "SELECT_NODE":
                found += self.any_of(node.values())
        return found

    def _read(self, node: Node) -> list[Option]:
        kind = node.get("type")
        if kind == "OPERATOR_NOT":
            return self._denied(node["children"][0])
        if kind == "CONJUNCTION_AND":
            return self.all_of(node["children"])
        if kind in _OTHER:
            return []
        if kind in ("OPERATOR_IS_NULL", "OPERATOR_IS_NOT_NULL"):
            return []
        if kind in SAME:
            return self._same([node["left"]], [node["right"]], node)
        if kind == "COMPARE_IN":
            return self._same(node["children"][:1], node["children"][1:], node)
        if node.get("subquery_type") == "ANY" and node.get("comparison_type") == "COMPARE_EQUAL":
            return self._in_select([node["child"]], node)
        if node.get("function_name") in _CONTAINS and len(arguments(node)) == 2:
            listed, sought = arguments(node)  # of a column it asks for a part of its text
            return [] if column(listed) is not None else self._same([sought], [listed], node)
        return self.any_of(node.values())

    def _denied(self, node: Node) -> list[Option]:
        """Read what stands under a NOT: only what is denied twice asks for something."""
        kind = node.get("type")
        if kind == "OPERATOR_NOT":
            return self._read(node["children"][0])
        if kind == "CONJUNCTION_OR":
            return together(map(self._denied, node["children"]))
        if kind == "CONJUNCTION_AND":
            return [option for each in node["children"] for option in self._denied(each)]
        if kind == "COMPARE_NOT_IN":
            return self._same(node["children"][:1], node["children"][1:], node)
        return self._same([node["left"]], [node["right"]], node) if kind in _OTHER else []

    def _same(self, left: list[Node], right: list[Node], node: Node) -> list[Option]:
        """Read a comparison of one side with one or several others."""
        if any(part.get("class") == "COLLATE" for part in parts([left, right])):
            return self._wrapped(node)
        for one, others in ((left, right), (right, left)):
            selected = [each for each in others if each.get("subquery_type") == "SCALAR"]
            if selected:
                return [option for each in selected for option in self._in_select(one, each)]
        if left[0].get("function_name") == "row":
            own = arguments(left[0])
            rows = [
                [*map(_equals, own, arguments(each))] for each in right if each.get("function_name") == "row"
            ]
            return [option for row in rows for option in self.all_of(row)]
        plain = [(key, side) for side in (left, right) for each in side if (key := self._mine(each))]
        if not plain:
            return self._wrapped(node)
        found: list[Option] = []
        for key, side in plain:
            found += [{key: text} for text in self.scope.texts(right if side is left else left)]
        return found

    def _mine(self, node: Node) -> Column | None:
        """Give the column that a node is, where it is one of those that matter."""
        key = column(node)
        mine = key is not None and key.name in self.columns and self.scope.place(key) is None
        return key if mine else None

    def _in_select(self, sides: list[Node], node: Node) -> list[Option]:
        """Read `column IN (SELECT …)` and `(a, b) IN (SELECT …)`.

        A SELECT that follows from no table asks for all its rows; one over tables for what it asks of its
        own columns.
        """
        first = sides[0]
        keys = [
            self._mine(each) for each in (arguments(first) if first.get("function_name") == "row" else sides)
        ]
        if not any(keys):
            return []
        select = node["subquery"]["node"]
        rows = self.scope.constants.select(select)
        if rows is not None:
            pairs = ([(key, text) for key, text in zip(keys, row, strict=False) if key] for row in rows)
            return [{key: text for key, text in each if isinstance(text, str)} for each in pairs]
        names = [column(each) for each in select.get("select_list", ())]
        inner = {key.name: mine for key, mine in zip(names, keys, strict=False) if key and mine}
        if not inner or select.get("type") != "SELECT_NODE":
            return []
        found = _Expressions(self.scope, inner, self.known).all_of(must_hold(select))
        return [{inner[key.name]: text for key, text in each.items() if key.name in inner} for each in found]

    def _wrapped(self, node: Node) -> list[Option]:
        """Read a condition on a function of one column: it asks for the names that it admits.

        Tried are the statement's texts, and the names that there are which are these but for capitals and
        spaces. A condition that admits any text, or none at all (null), asks for no name.
        """
        keys = columns(node)
        if len(keys) != 1:
            return []
        (key,) = keys
        if key.name not in self.columns:
            return []
        said = self.scope.constants.said
        folded = {_folded(text) for text in said}
        known = {text for text in self.known.get(key.name, ()) if _folded(text) in folded}
        admitted = self.scope.constants.admitted(node, key, sorted(said | known))
        return [{key: text} for text in sorted(known & admitted or admitted)]

    def _joined(self, tree: Any) -> Iterator[tuple[Column, Column]]:
        """List the columns that joins make equal, each after one that it has to follow.

        In `a LEFT JOIN b` rows of `a` are there whatever `b` has: what is said of `b` does not hold of `a`.
        A column that USING names is that of either side under no alias.
        """
        for join in joins(tree):
            kind = join.get("join_type")
            left, right = ({called(leaf) for leaf in leaves(join[side])} for side in ("left", "right"))
            names = [str(name).lower() for name in join.get("using_columns") or ()]
            names = [*self.columns] if join.get("ref_type") == "NATURAL" else names
            equal = both_ways(conjuncts(join.get("condition")))
            if kind in ("INNER", "SEMI"):
                yield from equal
                equal = []
            follows = {"LEFT": [(left, right)], "RIGHT": [(right, left)], "ANTI": []}
            for first, second in follows.get(str(kind), [(left, right), (right, left)]):
                for name in names:
                    yield from ((Column(alias, name), Column("", name)) for alias in first)
                    yield from ((Column("", name), Column(alias, name)) for alias in second)
                yield from (pair for pair in equal if pair[0].alias in first and pair[1].alias in second)

    def _pivot(self, node: Node) -> list[Option]:
        """Read `PIVOT … ON column IN ('a', 'b')`."""
        found: list[Option] = []
        for each in node.get("pivots", ()):
            keys = [key for one in each.get("pivot_expressions", ()) if (key := self._mine(one))]
            texts = [
                duck.constant(part) or part.get("value") for part in parts(each.get("entries"))
            ]  # DuckDB 2, 1
            found += [{key: text} for key in keys for text in texts if isinstance(text, str)]
        return found


def _folded(text: str) -> str:
    return text.strip().casefold()


def _beside(tree: Any) -> Iterator[str]:
    """List the aliases in a FROM clause that stand beside rows which are there without them."""
    for join in joins(tree):
        side = {"LEFT": "right", "ANTI": "right", "RIGHT": "left"}.get(str(join.get("join_type")))
        yield from (called(leaf) for leaf in leaves(join[side])) if side else ()


def _excluded(star: Node) -> Iterator[str]:
    """List the columns that a star leaves out or calls otherwise."""
    yield from (str(each).lower() for each in star["exclude_list"])
    yield from (str(each["column"]).lower() for each in star.get("qualified_exclude_list") or ())
    for each in star.get("rename_list") or ():
        yield str(each["key"]["column"] if isinstance(each["key"], Mapping) else each["key"]).lower()


def _equals(left: Node, right: Node) -> Node:
    return {"class": "COMPARISON", "type": "COMPARE_EQUAL", "alias": "", "left": left, "right": right}


def _beneath(tree: Any, defined: Mapping[str, Node], known: frozenset[str] = frozenset()) -> Iterator[str]:
    """List the tables in a FROM clause, in its subqueries and in what a WITH defines.

    Within what it defines a name stands for the table of that name, unless it is recursive.
    """
    for part in parts(tree):
        if part.get("type") == "BASE_TABLE":
            name = str(part["table_name"]).lower()
            if name not in defined or (name in known and defined[name].get("type") != "RECURSIVE_CTE_NODE"):
                yield name
            elif name not in known:
                yield from _beneath(defined[name], defined, known | {name})
