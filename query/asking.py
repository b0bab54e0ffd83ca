"""What a statement asks for by name: the texts that columns have to have, read from its tree."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
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
    definitions,
    joins,
    leaves,
    must_hold,
    parts,
    selects,
)
from .constants import Constants

Named = tuple[tuple[str, str], ...]
"""Columns, each with a text that is asked for in it, in the order of their names."""

_Option = Mapping[Column, str]
"""Texts that columns have to have at the same time."""
_Links = Sequence[tuple[Column, Column]]
"""Columns that are equal in all rows."""
_SAME = {"COMPARE_EQUAL", "COMPARE_NOT_DISTINCT_FROM"}
_OTHER = {"COMPARE_NOTEQUAL", "COMPARE_DISTINCT_FROM", "COMPARE_NOT_IN"}
_CONTAINS = {"contains", "list_contains", "list_has", "array_contains", "array_has"}
MOST = 2_000
"""Where texts of several columns would make more combinations than this, each column stands for itself."""


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
    def _constants(self) -> Constants:
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
        nodes = [
            (node, self._places(node.get("from_table"), columns)) for node in selects(self.statement.tree)
        ]
        outer = {alias: tables for _, places in nodes for alias, tables in places.items() if tables}
        for node, places in nodes:
            read = _Expressions(self._constants, every, known)
            beneath = {table for tables in places.values() for table in tables}
            seen = {**outer, **places}
            for option, table in product(read.of_select(node), columns):
                for alias in (alias for alias, tables in seen.items() if table in tables):
                    found[table].add(_pick(option, alias, columns[table], plain=table in beneath))
        return {table: frozenset(each - {()}) for table, each in found.items()}

    def _places(self, tree: Any, columns: Collection[str]) -> dict[str, frozenset[str]]:
        """Give the aliases in a FROM clause, each with the tables beneath it that matter."""
        found: dict[str, frozenset[str]] = {}
        for leaf in leaves(tree):
            tables = frozenset(columns) & {*_beneath(leaf, self._defined)}
            found[called(leaf)] = found.get(called(leaf), frozenset()) | tables
        return found


@dataclass(frozen=True)
class _Expressions:
    """Reads what the expressions of one SELECT ask for."""

    constants: Constants
    columns: Collection[str]
    """The names of the columns that matter."""
    known: Mapping[str, Collection[str]] = field(default_factory=dict)
    """The texts that there are in them."""

    def of_select(self, node: Node) -> list[_Option]:
        """List what the expressions of a SELECT ask for, without those of other SELECTs inside."""
        tree = node.get("from_table")
        rest = [each for name, each in node.items() if name not in ("from_table", "where_clause", "cte_map")]
        pivots = [
            option for part in parts(tree) if part.get("type") == "PIVOT" for option in self._pivot(part)
        ]
        return [*self.all_of(must_hold(node), [*self._using(tree)]), *self.any_of(rest), *pivots]

    def all_of(self, nodes: Iterable[Node], joined: _Links = ()) -> list[_Option]:
        """Give what expressions ask for that hold together, and columns that are joined."""
        listed = list(nodes)
        links = [*joined, *filter(None, map(_link, listed))]
        factors = [*map(self._read, listed), *self._of_relations(links)]
        factors = [each for each in factors if each]
        found: list[_Option] = [{}]
        for factor in factors:
            if len(found) * len(factor) > MOST:
                found = [option for each in factors for option in each]
                break
            found = [{**one, **more} for one, more in product(found, factor) if _agree(one, more)]
        return [_linked(each, links) for each in found if each]

    def _of_relations(self, links: _Links) -> Iterator[list[_Option]]:
        """Read tables of constants that are joined: each row asks for what its columns are equal to."""
        to: dict[str, list[tuple[str, Column]]] = {}
        for one, other in (*links, *((other, one) for one, other in links)):
            place = self.constants.place(one, self.columns)
            if place is not None and other.name in self.columns and self._is_mine(other):
                to.setdefault(place.alias, []).append((place.name, other))
        for alias, pairs in to.items():
            rows = self.constants.rows(alias)
            found = (
                {key: row[name] for name, key in pairs if isinstance(row.get(name), str)} for row in rows
            )
            yield [each for each in found if each]

    def any_of(self, nodes: Iterable[Any]) -> list[_Option]:
        """Give what expressions ask for, each by itself, wherever they stand; not those of other SELECTs."""
        found: list[_Option] = []
        for node in nodes:
            if isinstance(node, list):
                found += self.any_of(node)
            elif isinstance(node, dict) and "class" in node:
                found += self._read(node)
            elif isinstance(node, dict) and node.get("type") != "SELECT_NODE":
                found += self.any_of(node.values())
        return found

    def _read(self, node: Node) -> list[_Option]:
        kind = node.get("type")
        if kind == "OPERATOR_NOT":
            return self._denied(node["children"][0])
        if kind == "CONJUNCTION_AND":
            return self.all_of(node["children"])
        if kind in _OTHER:
            return []
        if kind in _SAME:
            return self._same([node["left"]], [node["right"]], node)
        if kind == "COMPARE_IN":
            return self._same(node["children"][:1], node["children"][1:], node)
        if node.get("subquery_type") == "ANY" and node.get("comparison_type") == "COMPARE_EQUAL":
            return self._in_select([node["child"]], node)
        if node.get("function_name") in _CONTAINS and column(arguments(node)[0]) is None:
            return self._same(arguments(node)[1:], arguments(node)[:1], node)  # in a list, not in a text
        return self.any_of(node.values())

    def _denied(self, node: Node) -> list[_Option]:
        """Read what stands under a NOT: only what is denied twice asks for something."""
        kind = node.get("type")
        if kind == "OPERATOR_NOT":
            return self._read(node["children"][0])
        if kind == "COMPARE_NOT_IN":
            return self._same(node["children"][:1], node["children"][1:], node)
        return self._same([node["left"]], [node["right"]], node) if kind in _OTHER else []

    def _same(self, left: list[Node], right: list[Node], node: Node) -> list[_Option]:
        """Read a comparison of one side with one or several others."""
        if left[0].get("function_name") == "row":
            own = arguments(left[0])
            rows = ([*map(_equals, own, arguments(each))] for each in right if "function_name" in each)
            return [option for row in rows for option in self.all_of(row)]
        for one, others in ((left, right), (right, left)):
            selected = [each for each in others if each.get("subquery_type") == "SCALAR"]
            if selected:
                return [option for each in selected for option in self._in_select(one, each)]
        found: list[_Option] = []
        plain = [(key, side) for side in (left, right) for each in side if (key := self._mine(each))]
        for key, side in plain:
            for other in right if side is left else left:
                found += [{key: text} for text in self.constants.texts(other, self.columns)]
        return found if plain else self._wrapped(node)

    def _mine(self, node: Node) -> Column | None:
        """Give the column that a node is, where it is one of those that matter."""
        key = column(node)
        return key if key is not None and key.name in self.columns and self._is_mine(key) else None

    def _is_mine(self, key: Column) -> bool:
        return self.constants.place(key, self.columns) is None

    def _in_select(self, sides: list[Node], node: Node) -> list[_Option]:
        """Read `column IN (SELECT …)` and `(a, b) IN (SELECT …)`.

        A SELECT that follows from no table asks for all its rows; one over tables for what it asks of its
        first column.
        """
        first = sides[0]
        asked = arguments(first) if first.get("function_name") == "row" else sides
        keys = [self._mine(each) for each in asked]
        select = node["subquery"]["node"]
        rows = self.constants.select(select)
        if rows is not None:
            pairs = ([(key, text) for key, text in zip(keys, row, strict=False) if key] for row in rows)
            return [{key: text for key, text in each if isinstance(text, str)} for each in pairs if each]
        names = [column(each) for each in select.get("select_list", ())]
        inner = {key.name: mine for key, mine in zip(names, keys, strict=False) if key and mine}
        if not inner or select.get("type") != "SELECT_NODE":
            return []
        found = _Expressions(self.constants, inner).all_of(must_hold(select))
        return [{inner[key.name]: text for key, text in each.items() if key.name in inner} for each in found]

    def _wrapped(self, node: Node) -> list[_Option]:
        """Read a condition on a function of one column: it asks for the names that it admits.

        Tried are the statement's texts, and the names that there are which are these but for capitals and
        spaces. A condition that admits any text, or none at all (null), asks for no name.
        """
        keys = {each for part in parts(node) if (each := column(part)) is not None}
        if len(keys) != 1:
            return []
        (key,) = keys
        if key.name not in self.columns:
            return []
        said = self.constants.said
        folded = {_folded(text) for text in said}
        known = {text for text in self.known.get(key.name, ()) if _folded(text) in folded}
        admitted = self.constants.admitted(node, key, sorted(said | known))
        return [{key: text} for text in sorted(known & admitted or admitted)]

    def _using(self, tree: Any) -> Iterator[tuple[Column, Column]]:
        """List the columns by which a FROM clause joins, each of any alias with that of no alias."""
        for join in joins(tree):
            names = [str(name).lower() for name in join.get("using_columns") or ()]
            names = [*self.columns] if join.get("ref_type") == "NATURAL" else names
            yield from (
                (Column(called(leaf), name), Column("", name)) for leaf in leaves(join) for name in names
            )

    def _pivot(self, node: Node) -> list[_Option]:
        """Read `PIVOT … ON column IN ('a', 'b')`."""
        found: list[_Option] = []
        for each in node.get("pivots", ()):
            keys = [key for one in each.get("pivot_expressions", ()) if (key := self._mine(one))]
            texts = [
                duck.constant(part) or part.get("value") for part in parts(each.get("entries"))
            ]  # DuckDB 2, 1
            found += [{key: text} for key in keys for text in texts if isinstance(text, str)]
        return found


def _folded(text: str) -> str:
    return text.strip().casefold()


def _agree(one: _Option, other: _Option) -> bool:
    return all(one.get(key, text) == text for key, text in other.items())


def _link(node: Node) -> tuple[Column, Column] | None:
    """Give the columns that a condition says are equal."""
    if node.get("type") not in _SAME:
        return None
    left, right = column(node["left"]), column(node["right"])
    return None if left is None or right is None else (left, right)


def _linked(option: _Option, links: _Links) -> _Option:
    """Add what follows for columns that are equal to those that an option has."""
    found = dict(option)
    for _ in links:
        before = len(found)
        for one, other in (*links, *((other, one) for one, other in links)):
            if one in found:
                found.setdefault(other, found[one])
        if len(found) == before:
            break
    return found


def _pick(option: _Option, alias: str, columns: Collection[str], *, plain: bool) -> Named:
    """Give what is asked of a table under one alias; without an alias, where the SELECT is over it."""
    mine = {key: text for key, text in option.items() if key.name in columns}
    general = {key.name: text for key, text in mine.items() if not key.alias and plain}
    own = {key.name: text for key, text in mine.items() if key.alias == alias}
    return tuple(sorted({**general, **own}.items()))


def _equals(left: Node, right: Node) -> Node:
    return {"class": "COMPARISON", "type": "COMPARE_EQUAL", "alias": "", "left": left, "right": right}


def _beneath(tree: Any, defined: Mapping[str, Node], known: frozenset[str] = frozenset()) -> Iterator[str]:
    """List the tables in a FROM clause, in its subqueries and in what a WITH defines."""
    for part in parts(tree):
        if part.get("type") == "BASE_TABLE":
            name = str(part["table_name"]).lower()
            if name not in defined:
                yield name
            elif name not in known:
                yield from _beneath(defined[name], defined, known | {name})
