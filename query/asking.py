"""What a statement asks for by name: the texts that columns have to have, read from its tree."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

import pyarrow as pa

from . import duck
from .clauses import Node, arguments, called, definitions, joins, leaves, must_hold, parts, selects

Named = tuple[tuple[str, str], ...]
"""Columns, each with a text that is asked for in it, in the order of their names."""


class _Column(NamedTuple):
    """A column as a statement writes it, in lower case."""

    alias: str
    """What stands before the dot; "" for nothing."""
    name: str


_Option = Mapping[_Column, str]
"""Texts that columns have to have at the same time."""
_SAME = {"COMPARE_EQUAL", "COMPARE_NOT_DISTINCT_FROM"}
_NOT = {"OPERATOR_NOT", "COMPARE_NOT_IN", "COMPARE_NOTEQUAL", "COMPARE_DISTINCT_FROM"}
_CONTAINS = {"contains", "list_contains", "list_has", "array_contains", "array_has"}
_CANDIDATES = "candidates"
MOST = 2_000
"""Where texts of several columns would make more combinations than this, each column stands for itself."""


@dataclass(frozen=True, slots=True)
class Asking:
    """Reads what one statement asks for.

    `image_set IN ('a', 'b') AND model = 'm'` asks for `a` with `m` and for `b` with `m`; what stands under a
    NOT asks for nothing. A column of a SELECT is one of all tables beneath its FROM that have it, unless its
    alias says of which it is.
    """

    statement: duck.Statement
    """The statement."""
    params: duck.Params
    """The values of its parameters."""
    known: Callable[[], Collection[str]]
    """Lists names that there are: what an expression over a column admits is tried on these."""

    def of(self, columns: Mapping[str, Collection[str]]) -> dict[str, frozenset[Named]]:
        """Find what is asked for in some columns of tables that the statement names.

        Args:
            columns: The tables, each with the names of the columns.
        """
        found: dict[str, set[Named]] = {table: set() for table in columns}
        every = {name for names in columns.values() for name in names}
        defined = {name: node for name, node in definitions(self.statement.tree) if name not in columns}
        for node in selects(self.statement.tree):
            beneath = columns.keys() & set(_beneath(node.get("from_table"), defined))
            if not beneath:
                continue
            places = {alias: name for alias, name in _places(node.get("from_table")) if name in beneath}
            options = self._of_select(node, every, defined)
            for table, option in product(beneath, options):
                for alias in [alias for alias, name in places.items() if name == table] or [""]:
                    found[table].add(_pick(option, alias, places, columns[table]))
        return {table: frozenset(each - {()}) for table, each in found.items()}

    def _of_select(self, node: Node, columns: Collection[str], defined: Mapping[str, Node]) -> list[_Option]:
        """List what the expressions of a SELECT ask for, without those of other SELECTs inside."""
        tree = node.get("from_table")
        read = _Expressions(self, columns, self._constants(tree, defined))
        rest = [each for name, each in node.items() if name not in ("from_table", "where_clause", "cte_map")]
        return [*read.all_of(must_hold(node), _using(tree)), *read.any_of(rest)]

    def _constants(self, tree: Any, defined: Mapping[str, Node]) -> dict[_Column, list[str]]:
        """Find the texts in the columns of what is joined and follows from no table: VALUES, constants."""
        found: dict[_Column, list[str]] = {}
        for leaf in leaves(tree):
            name = str(leaf.get("table_name") or "").lower()
            node = leaf["subquery"]["node"] if leaf.get("type") == "SUBQUERY" else defined.get(name)
            rows = None if node is None else duck.run_tree(node, self.params, {})
            if node is not None and rows is not None:
                given = [*(leaf.get("column_name_alias") or node.get("aliases", ())), *rows.column_names]
                for column, values in zip(given, rows.columns, strict=False):
                    found[_Column(called(leaf), str(column).lower())] = _texts(values.to_pylist())
        return found

    def admitted(self, condition: Node, column: _Column, *, plain: bool) -> list[str]:
        """List the texts in a column for which a condition on it alone holds; none where that is not plain.

        They are tried on the statement's texts and the names that there are; of a function of the column, on
        the former only where it fits none of the latter.
        """
        texts, names = self.statement.texts(self.params), frozenset(self.known())
        for tried in [texts | names] if plain else [names, texts]:
            if found := self._tried(condition, column, sorted(tried)):
                return found
        return []

    def _tried(self, condition: Node, column: _Column, texts: list[str]) -> list[str]:
        """Run a condition on a column over texts."""
        node = deepcopy(duck.parse(f'SELECT "{column.name}" FROM {_CANDIDATES}').node)
        own = deepcopy(condition)
        for part in parts(own):
            if _column(part) == column:
                part["column_names"][:] = [column.name]
        table = pa.table({column.name: pa.array(texts, pa.string())})
        rows = duck.run_tree({**node, "where_clause": own}, self.params, {_CANDIDATES: table})
        return [] if rows is None else _texts(rows.column(0).to_pylist())


@dataclass(frozen=True, slots=True)
class _Expressions:
    """Reads what the expressions of one SELECT ask for."""

    asking: Asking
    columns: Collection[str]
    """The names of the columns that matter."""
    constants: Mapping[_Column, list[str]]
    """Columns that are joined, of which all texts are known."""

    def all_of(self, nodes: Iterable[Node], joined: Iterable[str] = ()) -> list[_Option]:
        """Give what expressions ask for that hold together, and tables that are joined by some columns."""
        factors = [self._read(node) for node in nodes]
        factors += [self._equal(_Column("", name)) for name in joined if name in self.columns]
        factors = [each for each in factors if each]
        found: list[_Option] = [{}]
        for factor in factors:
            if len(found) * len(factor) > MOST:
                return [option for each in factors for option in each]
            found = [{**one, **more} for one, more in product(found, factor) if _agree(one, more)]
        return [each for each in found if each]

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
        if kind in _NOT:
            return []
        if kind == "CONJUNCTION_AND":
            return self.all_of(node["children"])
        if kind in _SAME:
            return self._same([node["left"], node["right"]], node)
        if kind == "COMPARE_IN":
            return self._same(node["children"], node)
        if node.get("subquery_type") == "ANY" and node.get("comparison_type") == "COMPARE_EQUAL":
            return self._same([node["child"]], node) or self._inside(node)
        if node.get("function_name") in _CONTAINS and _column(arguments(node)[0]) is None:
            return self._same(arguments(node), node)  # in a list: of a column it asks for a part of its text
        return self.any_of(node.values())

    def _same(self, sides: list[Node], node: Node) -> list[_Option]:
        """Read a comparison: what its sides are, or in what list or SELECT the first is."""
        rows = [arguments(side) for side in sides if side.get("function_name") == "row"]
        if len(rows) == len(sides) > 1:
            return [
                option
                for other in rows[1:]
                for option in self.all_of(_equals(one, two) for one, two in zip(rows[0], other, strict=False))
            ]
        columns = {each for part in parts(node) if (each := _column(part)) is not None}
        plain = [each for side in sides if (each := _column(side)) is not None]
        if len(columns) == 2 and len(plain) == 2:
            return [option for one, two in (plain, plain[::-1]) for option in self._equal(one, two)]
        if len(columns) != 1:
            return []
        (column,) = columns
        if column.name not in self.columns:
            return []
        beside = [side for side in sides if _column(side) is None]
        said = [self.asking.statement.text(side, self.asking.params) for side in beside]
        if len(beside) == len(sides) or len(sides) < 2 or None in said:
            said = [*self.asking.admitted(node, column, plain=bool(plain))]
        return [{column: text} for text in said if text is not None]

    def _equal(self, column: _Column, other: _Column | None = None) -> list[_Option]:
        """Give the texts that a column has to have as it is joined with one whose texts are known."""
        if column.name not in self.columns:
            return []
        wanted = other or column
        same = [key for key in self.constants if key.name == wanted.name and wanted.alias in ("", key.alias)]
        return [{column: text} for key in same[:1] for text in self.constants[key]]

    def _inside(self, node: Node) -> list[_Option]:
        """Read `column IN (SELECT column FROM …)` over the catalog's tables: what the latter is asked for."""
        column = _column(node["child"])
        inner = node["subquery"]["node"]
        if column is None or inner.get("type") != "SELECT_NODE":
            return []
        found = _Expressions(self.asking, {column.name}, {}).all_of(must_hold(inner))
        return [{column: text} for option in found for text in option.values()]


def _agree(one: _Option, other: _Option) -> bool:
    return all(one.get(column, text) == text for column, text in other.items())


def _pick(option: _Option, alias: str, places: Mapping[str, str], columns: Collection[str]) -> Named:
    """Give what is asked of a table under one alias; what stands with the catalog's is of all tables."""
    mine = {column: text for column, text in option.items() if column.name in columns}
    general = {column.name: text for column, text in mine.items() if column.alias not in places}
    own = {column.name: text for column, text in mine.items() if alias and column.alias == alias}
    return tuple(sorted({**general, **own}.items()))


def _texts(values: Iterable[Any]) -> list[str]:
    return list(dict.fromkeys(value for value in values if isinstance(value, str)))


def _column(part: Mapping[str, Any]) -> _Column | None:
    name = duck.column_of(part)
    if name is None:
        return None
    return _Column(str(part["column_names"][-2]).lower() if len(part["column_names"]) > 1 else "", name)


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


def _places(tree: Any) -> Iterator[tuple[str, str]]:
    """List the tables that a FROM clause joins, each after its alias."""
    for leaf in leaves(tree):
        if leaf.get("type") == "BASE_TABLE":
            yield called(leaf), str(leaf["table_name"]).lower()


def _using(tree: Any) -> Iterator[str]:
    return (str(name).lower() for join in joins(tree) for name in join.get("using_columns") or ())
