"""From the rows of a file to what they say of neurons, and to the rows that say nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ...store.errors import BadSource
from .entries import Adapter, Entry, Place, Rating, Unreadable
from .sheet import Reject, Row, Sheet

MOST = 0.5
"""Where more of a layer's rows than this are of units that it does not have, the file is of another layer."""


WHOLE = re.compile(r"-?[0-9]{1,18}")
"""What the number of a unit looks like."""


@dataclass(frozen=True, slots=True)
class Target:
    """A module that labels are of."""

    module: str
    """Its name, as the model has it."""
    width: int
    """How many neurons it has."""


@dataclass(frozen=True, slots=True)
class Said:
    """What one row says."""

    row: Row
    """The row."""
    module: str
    """The module that it is about."""
    neurons: tuple[int, ...]
    """The neurons, from 0."""
    annotator: int | None
    """Of a format with several annotators: which of them, from 0, in the order of the file."""
    entries: tuple[Entry, ...]
    """What it says of each of them; `place.unit` is a neuron."""


@dataclass(slots=True)
class Read:
    """What a file says."""

    said: list[Said] = field(default_factory=list)
    """The rows that are taken in."""
    rejects: list[Reject] = field(default_factory=list)
    """Those that are not, by line."""
    left: dict[str, int] = field(default_factory=dict)
    """How many rows there are of layers that were not asked for."""


def layers(sheet: Sheet, adapter: Adapter) -> dict[str, int]:
    """Count the rows of each layer of a file; none where it has no such column."""
    found: dict[str, int] = {}
    if adapter.layer in sheet.columns:
        for row in sheet.rows:
            name = row.cells[str(adapter.layer)].strip()
            found[name] = found.get(name, 0) + 1
    return found


def read(sheet: Sheet, adapter: Adapter, targets: Mapping[str | None, Target], base: int | None) -> Read:
    """Read the rows of the layers that are asked for.

    Args:
        sheet: The file.
        adapter: Its format.
        targets: The module of each layer, by the file's name for it; of None where the file has no layers.
        base: The number of the first unit; None takes the format's own.

    Raises `BadSource` where units count from another number than said, most of a layer's rows are of units
    that the module does not have, or no row can be read.
    """
    found, rows = Read(rejects=list(sheet.rejects)), _placed(sheet, adapter)
    first = adapter.base if base is None else base
    taken: list[tuple[Row, str | None, tuple[int, ...]]] = []
    for row, layer, units in rows:
        if layer not in targets:
            found.left[str(layer)] = found.left.get(str(layer), 0) + 1
        elif isinstance(units, str):
            found.rejects.append(Reject(row.line, row.raw, units))
        else:
            taken.append((row, layer, units))
    for layer, target in targets.items():
        _check_units(sheet, [units for _, each, units in taken if each == layer], layer, target, first)
    seen: dict[tuple[str, str], int] = {}
    for row, layer, units in taken:
        target = targets[layer]
        try:
            found.said.append(_said(sheet, adapter, row, target, tuple(each - first for each in units), seen))
        except Unreadable as error:
            found.rejects.append(Reject(row.line, row.raw, str(error)))
    found.rejects.sort(key=lambda each: each.line)
    _check_any(sheet, found)
    return found


def _placed(sheet: Sheet, adapter: Adapter) -> Iterator[tuple[Row, str | None, tuple[int, ...] | str]]:
    """Give each row with its layer and its units, or why these cannot be read."""
    has_layer = adapter.layer in sheet.columns
    for row in sheet.rows:
        layer = row.cells[str(adapter.layer)].strip() if has_layer else None
        cell = row.cells[adapter.unit]
        pieces = [each.strip() for each in (cell.split(",") if adapter.groups else [cell])]
        if all(map(WHOLE.fullmatch, pieces)):
            yield row, layer, tuple(int(each) for each in pieces)
        else:
            yield row, layer, f"{adapter.unit} {cell.strip()!r} is no whole number"


def _check_units(
    sheet: Sheet, listed: Sequence[tuple[int, ...]], layer: str | None, target: Target, first: int
) -> None:
    """Refuse a layer whose units count from another number, or that is another layer altogether."""
    units = [unit for each in listed for unit in each]
    if not units:
        return
    of = f"of layer {layer!r} " if layer is not None else ""
    told = f"the units {of}in {sheet.path.name} run from {min(units):,} to {max(units):,}"
    if first == 0 and min(units) > 0 and max(units) == target.width:
        raise BadSource(
            f"{told}, and {target.module!r} has {target.width:,} neurons: they count from 1; "
            "say base=1 (--base 1)"
        )
    if first == 1 and min(units) == 0:
        raise BadSource(f"{told}: they count from 0, and not from 1; say base=0 (--base 0)")
    beyond = sum(not 0 <= unit - first < target.width for unit in units)
    if beyond > MOST * len(units):
        raise BadSource(
            f"{told}, and {beyond:,} of {len(units):,} are beyond the {target.width:,} neurons of "
            f"{target.module!r}: it is a file of another layer or model"
        )


def _said(
    sheet: Sheet,
    adapter: Adapter,
    row: Row,
    target: Target,
    neurons: tuple[int, ...],
    seen: dict[tuple[str, str], int],
) -> Said:
    """Read what a row says; `Unreadable` where it says nothing that can be kept."""
    for neuron in neurons:
        if not 0 <= neuron < target.width:
            raise Unreadable(
                f"neuron {neuron}, from 0, is beyond the {target.width:,} neurons of {target.module!r}"
            )
    entries = tuple(
        _entry(sheet, each) for each in adapter.read(Place(row.line, None, neurons[0]), row.cells)
    )
    key = (target.module, _identity(neurons, entries))
    before = seen.setdefault(key, 0 if adapter.repeats else row.line)
    if not adapter.repeats:
        if before != row.line:
            listed = ", ".join(map(str, neurons))
            raise Unreadable(f"neuron {listed} of {target.module!r} has a row already, in line {before}")
        return Said(row, target.module, neurons, None, entries)
    seen[key] += 1
    return Said(row, target.module, neurons, before, entries)


def _identity(neurons: tuple[int, ...], entries: tuple[Entry, ...]) -> str:
    """Give what only one row may be about: the units and, of ratings, methods and raters."""
    about = [f"{each.method}/{each.rater}" for each in entries if isinstance(each, Rating)]
    return ",".join([*map(str, neurons), *about])


def _entry(sheet: Sheet, entry: Entry) -> Entry:
    """Call the method of a rating as the file's header writes it."""
    if isinstance(entry, Rating) and (column := f"{entry.method} label") in sheet.columns:
        title = sheet.titles[sheet.columns.index(column)]
        return replace(entry, method=title[: len(entry.method)])
    return entry


def _check_any(sheet: Sheet, found: Read) -> None:
    """Refuse a file of which no row can be kept."""
    if found.said:
        return
    if found.rejects:
        first = found.rejects[0]
        raise BadSource(
            f"none of the {len(found.rejects):,} rows of {sheet.path} can be read; "
            f"the first, line {first.line}: {first.reason}"
        )
    raise BadSource(
        f"{sheet.path} has no row of the layers that were asked for: it has {', '.join(found.left)}"
    )
