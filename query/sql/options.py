"""What columns have to have at the same time: options, and how they are put together and passed on."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import islice, product

from .clauses import Column, Node, called, column, leaves, must_hold

Option = Mapping[Column, str]
"""Texts that columns have to have at the same time."""
Links = Sequence[tuple[Column, Column]]
"""Pairs of columns of which the second has to have what the first one has."""
Named = tuple[tuple[str, str], ...]
"""Columns, each with a text that is asked for in it, in the order of their names."""
SAME = {"COMPARE_EQUAL", "COMPARE_NOT_DISTINCT_FROM"}
"""Comparisons of what is equal."""
COMBINATIONS = 2_000
"""Where texts of several columns would make more combinations, further ones stand for themselves."""


def together(factors: Iterable[Sequence[Option]]) -> list[Option]:
    """Combine what each of some factors asks for, where that can be at the same time."""
    found: list[Option] = [{}]
    loose: list[Option] = []
    for factor in filter(None, factors):
        pairs = ({**one, **other} for one, other in product(found, factor) if _agree(one, other))
        both: list[Option] = [*islice(pairs, COMBINATIONS + 1)]
        if len(both) > COMBINATIONS:
            loose += factor
        else:
            found = both
    return [each for each in (*found, *loose) if each]


def _agree(one: Option, other: Option) -> bool:
    return all(one.get(key, text) == text for key, text in other.items())


def both_ways(conditions: Iterable[Node]) -> list[tuple[Column, Column]]:
    """List the pairs of columns that conditions say are equal, each either way round."""
    return [pair for each in filter(None, map(_equal, conditions)) for pair in (each, each[::-1])]


def _equal(node: Node) -> tuple[Column, Column] | None:
    if node.get("type") not in SAME:
        return None
    left, right = column(node["left"]), column(node["right"])
    return None if left is None or right is None else (left, right)


def linked(option: Option, links: Links) -> Option:
    """Add what columns have to have that follow those of an option."""
    found, left = dict(option), list(option)
    to: dict[Column, list[Column]] = {}
    for one, other in links:
        to.setdefault(one, []).append(other)
    while left:
        key = left.pop()
        for other in to.get(key, ()):
            if other not in found:
                found[other] = found[key]
                left.append(other)
    return found


def given_by(node: Node, around: Sequence[Node], holding: Mapping[int, list[Option]]) -> list[Option]:
    """List what a SELECT's columns have to have that are equal to columns of those around it."""
    own = {called(leaf) for leaf in leaves(node.get("from_table"))}
    pairs = both_ways(must_hold(node))
    found: dict[tuple[tuple[Column, str], ...], None] = {}
    for outer in around:
        there = {called(leaf) for leaf in leaves(outer.get("from_table"))} - own
        mine = [(key, theirs) for key, theirs in pairs if key.alias not in there and theirs.alias in there]
        for option in holding.get(id(outer), ()) if mine else ():
            texts = ((key, option.get(theirs) or option.get(Column("", theirs.name))) for key, theirs in mine)
            found[tuple(sorted((key, text) for key, text in texts if text))] = None
        own |= there
    return list(map(dict, found))


def picked(option: Option, alias: str, columns: Collection[str], *, plain: bool) -> Named:
    """Give what is asked of a table under one alias, and under none, where the SELECT is over it."""
    mine = {key: text for key, text in option.items() if key.name in columns}
    general = {key.name: text for key, text in mine.items() if not key.alias and plain}
    own = {key.name: text for key, text in mine.items() if key.alias == alias}
    return tuple(sorted({**general, **own}.items()))
