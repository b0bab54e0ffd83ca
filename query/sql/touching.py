"""How much there was of what scans could touch, and what a statement names though nothing has it."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence, Set
from functools import reduce
from operator import and_
from typing import Any

import pyarrow.compute as pc

from ...store.nearest import nearest
from ...store.views import Unit, View
from ..completeness import Completeness, Touched
from . import duck
from .options import Named
from .scan import Scan

LISTED = 4
"""So many names are listed of those that there are."""


def scans_of(tables: Mapping[str, Any]) -> dict[str, Scan]:
    """Pick the scans of views among what a statement's names stand for."""
    return {name: table for name, table in tables.items() if isinstance(table, Scan)}


def touched(tables: Mapping[str, Any]) -> list[list[Unit]]:
    """List by table the units that its scan has seen, and all of a table that was not scanned."""
    return [
        [*(scan.seen.needed if scan.seen.scanned else scan.every()).values()]
        for scan in scans_of(tables).values()
    ]


def completeness(
    tables: Mapping[str, Any], filled: Set[str] = frozenset(), reasons: Iterable[str] = ()
) -> Completeness:
    """Say how much of what scans could touch was there, what of it was filled just now, and why not all."""
    scans = sorted(scans_of(tables).items())
    found = {}
    for name, scan in scans:
        seen = scan.seen
        lacking = dict.fromkeys(_combination(unit.view) for unit in seen.missing.values())
        found[name] = Touched(
            needed=len(seen.needed),
            ready=len(seen.needed) - len(seen.missing),
            inputs=tuple(lacking),
            filled=sum(unit.key in filled for unit in seen.needed.values()),
        )
    unknown = {name: None for name, scan in scans if scan.seen.unknown}
    empty = {name: None for name, scan in scans if scan.seen.nothing and name not in unknown}
    for name, union in tables.items():
        if isinstance(union, duck.Union):
            _fold(name, union, tables, found, empty)
            _fold(name, union, tables, found, unknown)
            if name in empty:
                unknown.pop(name, None)
    unmet = _unmet(tables)
    wants = tuple(scan.wants for _, scan in scans if scan.wants) if empty or unknown else ()
    lines = tuple(line for each in unmet.values() for line in each)
    nothing = _without(empty, unmet), _without(unknown, unmet)
    return Completeness(found, *nothing, lines, wants, tuple(reasons))


def _without(names: Iterable[str], left_out: Container[str]) -> tuple[str, ...]:
    return tuple(name for name in names if name not in left_out)


def _unmet(tables: Mapping[str, Any]) -> dict[str, list[str]]:
    """Say of each table for which names of those asked for there is nothing.

    Parts of one table make up for each other.
    """
    whole, scans = duck.wholes(tables), scans_of(tables)
    unmet: dict[str, list[str]] = {}
    for name in dict.fromkeys(whole.get(part, part) for part in scans):
        parts = [part for part in tables if whole.get(part, part) == name and part not in whole.values()]
        mine = [scans[part] for part in parts if part in scans]
        lines: dict[str, None] = {}
        for named in sorted(mine[0].asked):
            if any(_has(tables[part], named) for part in parts):
                continue
            absent = [one for one in named if not _can_have(tables, parts, one)]
            for one in absent:
                lines[f"there is nothing with {_told((one,))}{_why(mine, named, one)}"] = None
            why = _refusal(mine, named)
            if not absent and (why or any(scan.leaves(named) for scan in mine)):
                hint = f" ({why})" if why else _also(mine, named)
                lines[f"there is nothing with {_told(named)}{hint}"] = None
        if lines:
            unmet[name] = [f"{name}: {line}" for line in lines]
    return unmet


def _told(named: Named) -> str:
    return " and ".join(f"{column}={text!r}" for column, text in named)


def _can_have(tables: Mapping[str, Any], parts: Iterable[str], one: tuple[str, str]) -> bool:
    """Tell whether any part of a table can have rows with a text in a column, whatever else is asked."""
    column, text = one
    return any(
        text in each.names(column) if isinstance(each, Scan) else _has(each, (one,))
        for each in (tables[part] for part in parts)
    )


def _why(scans: Sequence[Scan], named: Named, one: tuple[str, str]) -> str:
    """Say why nothing can have a text in a column, or what it may be misspelt for."""
    why = _refusal(scans, named) or _refusal(scans, (one,))
    known = {name for scan in scans for name in scan.names(one[0])}
    return f" ({why})" if why else nearest(one[1], sorted(known))


def _also(scans: Sequence[Scan], named: Named) -> str:
    """Say what else to name, where what is named stands for several combinations."""
    several = {
        column: values
        for scan in scans
        for column, values in scan.told_apart(named).items()
        if len(values) > 1
    }
    if not several:
        return ""
    listed = (f"{column} ({', '.join(sorted(values)[:LISTED])})" for column, values in several.items())
    return f"; to fill it, name {' and '.join(listed)}, too"


def _refusal(scans: Sequence[Scan], named: Named) -> str:
    return next(filter(None, (scan.why_not(named) for scan in scans)), "")


def _has(table: Any, named: Named) -> bool:
    """Tell whether a part of a table has rows, or what can be asked for, with texts in some columns."""
    if isinstance(table, Scan):
        return table.has(named)
    known = [each for each in named if each[0] in table.column_names]
    return len(known) == len(named) and bool(table.filter(_equal_to(named)).num_rows)


def _equal_to(named: Named) -> pc.Expression:
    return reduce(and_, (pc.field(column) == text for column, text in named))


def _fold(
    name: str,
    union: duck.Union,
    tables: Mapping[str, Any],
    found: Mapping[str, Touched],
    lacking: dict[str, None],
) -> None:
    """Take a part of a table, where it has nothing, for a lack only where all of its parts have nothing."""
    parts = [part for part in union.parts if lacking.pop(part, name) is None]
    there = any(found[part].needed if part in found else len(tables[part]) for part in union.parts)
    if parts and not there:
        lacking[name] = None


def _combination(view: View) -> str:
    return " × ".join([*view.names.values(), *view.constant().values()]) or view.name()
