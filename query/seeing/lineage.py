"""Where numbers come from: the units that they go back to, down to weights, images and texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from ...store.errors import BadSource, DamagedUnit
from ...store.folder import Folder
from ...store.records import Record
from ...store.sets import Clip, Instrument, MethodLabels, Model, NamedTexts
from ...store.views import Source, Unit, View
from ..engine import ROUNDS, Engine
from ..lazy.array import LazyArray
from ..lazy.selection import Index, parse
from ..lazy.table import LazyTable
from ..sql.scan import spot
from ..upkeep.status import States, states

State = Literal["ready", "gone", "missing", "stale", "failed"]
"""Of a unit: kept; not kept any more, nor needed, as what was made from it is kept; not there, and why."""
FIRST = 3
"""Rows of a table that a lineage shows."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One unit that the numbers go back to."""

    key: str
    """Its key, the digest of all that its contents follow from."""
    start: int
    """The first position that it covers along its view's axis."""
    stop: int
    """The position after its last."""
    state: State
    """Whether it is there, and why not."""
    bytes: int = 0
    """What its data take on disk."""
    absent: Mapping[int, str] = field(default_factory=dict)
    """Positions along the axis whose image or text could not be read, with the reason."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What was measured while it was made."""
    made: Mapping[str, Any] = field(default_factory=dict)
    """When, where, by which run, on which device and with which library versions it was made."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A model, an image set, a text set or an instrument, where a lineage ends."""

    kind: str
    """What it is: model, image_set, text_set, an instrument's kind such as captioner, or references."""
    name: str
    """The name it was given."""
    source: str
    """Where it came from, as it was written then."""
    facts: Mapping[str, Any]
    """Of a model: checkpoint, precision, digest of weights, preprocessing; of a set: count and contents."""


@dataclass(frozen=True, slots=True)
class Node:
    """One view of a lineage, and what it is made from."""

    view: str
    """Its name."""
    title: str
    """Its name with its inputs."""
    recipe: str
    """The digest of its recipe."""
    version: int
    """The version of its numbers."""
    parameters: Mapping[str, Any]
    """Its parameters that are part of its identity."""
    package: str | None
    """The package that it comes from; None for Belvedere's own."""
    axis: str
    """The axis along which it is cut into units."""
    units: tuple[Piece, ...]
    """The units that the numbers go back to."""
    of: int
    """How many units the whole view has."""
    causes: tuple[str, ...]
    """What changed where units are stale, and why units failed."""
    inputs: tuple[Node | Leaf, ...]
    """What it is made from."""


@dataclass(frozen=True, slots=True)
class Lineage:
    """Where the numbers of a view, or of a part of it, come from; `str` gives it as a tree."""

    root: Node
    """The view that was asked about."""
    reads: Mapping[str, Any]
    """Parameters that were chosen for this read, and are in no unit."""
    selection: str | None
    """The condition or the index that the view was narrowed with."""
    rows: tuple[Mapping[str, Any], ...]
    """The first rows for which the condition holds; none where there was no condition."""
    count: int | None
    """How many rows these are in all; None where there was no condition."""

    @property
    def complete(self) -> bool:
        """Whether all units that were asked about are there; those beneath are not needed then."""
        return all(piece.state == "ready" for piece in self.root.units)

    def to_dict(self) -> dict[str, Any]:
        """Give all of it as plain mappings and lists, as JSON has them."""
        return asdict(self)

    def __str__(self) -> str:
        from .lineage_text import text

        return text(self)

    def _repr_html_(self) -> str:
        from .lineage_text import html

        return html(self)


def lineage(engine: Engine, lazy: LazyArray | LazyTable, where: str | None, index: Index | None) -> Lineage:
    """Find where the numbers of a view come from; nothing is computed. See `Store.lineage`."""
    if isinstance(lazy, LazyArray):
        if where is not None:
            raise BadSource(f"where=… narrows views that are tables; {lazy._view.name()} takes index=…")
        selection = parse(... if index is None else index, lazy.dims, lazy.shape)
        told = None if index is None else _written(index)
        return _told(engine, lazy._view, lazy._reading.touched(selection), told, (), None)
    if index is not None:
        raise BadSource(f"index=… narrows views that are arrays; {lazy._view.name()} takes where=…")
    if where is None:
        return _told(engine, lazy._view, lazy._view.units, None, (), None)
    return _of_rows(engine, lazy.where(where), where)


def _of_rows(engine: Engine, table: LazyTable, where: str) -> Lineage:
    """Tell of the units in which rows are for which a condition holds, and of those where some could be."""
    for _ in range(ROUNDS):  # what turns out damaged is set aside, and missing then
        try:
            rows, seen = table._scan(engine.done)
            break
        except DamagedUnit as error:
            if not engine.folder.writable:
                raise
            trouble = error
    else:
        raise trouble
    view = table._view
    units = list(seen.needed.values())
    if len(rows) and view.axis in view.columns:
        there = set(view.grid.touched([int(place) for place in rows[view.axis].to_numpy()]))
        units = [unit for unit in units if unit.index in there or spot(unit) in seen.missing]
    first = rows.drop_columns(list(view.called)).slice(0, FIRST).to_pylist()
    return _told(engine, view, units, where, tuple(first), len(rows))


def _told(
    engine: Engine,
    view: View,
    units: Iterable[Unit],
    selection: str | None,
    rows: tuple[Mapping[str, Any], ...],
    count: int | None,
) -> Lineage:
    found = {unit.index: unit for unit in units}
    companions = [unit for each in view.companions() for unit in each.units]
    root = _node(engine.folder, view, found, set(found), companions)
    reads = {field.name: getattr(view, field.name) for field in view.fields() if field.role == "read"}
    return Lineage(root, reads, selection, rows, count)


def _node(
    folder: Folder, view: View, units: Mapping[int, Unit], needed: set[int], companions: Sequence[Unit] = ()
) -> Node:
    """Tell of some units of a view, and of what they are made from; `needed` are those that must be there."""
    found = states(folder, view, [units[index] for index in sorted(needed)])
    spare = states(folder, view, [units[index] for index in sorted(units) if index not in needed])
    records = {**spare.records, **found.records}
    lacking = {index for index in needed if units[index].key not in found.records}
    return Node(
        view=view.name(),
        title=view.title(),
        recipe=view.recipe_key,
        version=view.version,
        parameters={name: _plain(value) for name, value in view.params().items()},
        package=view.recipe.get("package"),
        axis=view.axis,
        units=tuple(
            _piece(units[index], records.get(units[index].key), found, index in needed)
            for index in sorted(units)
        ),
        of=len(view.grid),
        causes=(*found.causes, *dict.fromkeys(found.failed.values())),
        inputs=(*_leaves(view), *_beneath(folder, units, lacking, companions)),
    )


def _beneath(
    folder: Folder, units: Mapping[int, Unit], lacking: set[int], companions: Sequence[Unit]
) -> Iterator[Node]:
    """Tell of the views beneath; of their units those are needed from which something is to be made yet."""
    views: dict[str, View] = {}
    found: dict[str, dict[int, Unit]] = {}
    needed: dict[str, set[int]] = {}
    pairs = [(index in lacking, need) for index, unit in sorted(units.items()) for need in unit.needs]
    for wanted, unit in [*pairs, *((True, each) for each in companions)]:
        place = f"{unit.view.recipe_key} {unit.view.title()}"
        views.setdefault(place, unit.view)
        found.setdefault(place, {})[unit.index] = unit
        needed.setdefault(place, set()).update({unit.index} if wanted else ())
    for place, view in views.items():
        yield _node(folder, view, found[place], needed[place])


def _piece(unit: Unit, record: Record | None, found: States, needed: bool) -> Piece:
    place = (unit.key, unit.start, unit.stop)
    if record is not None:
        absent = {unit.start + row: reason for row, reason in sorted(record.absent.items())}
        return Piece(*place, "ready", record.nbytes, absent, record.facts, record.made)
    state: State = "missing"
    if not needed:
        state = "gone"
    elif unit.key in found.failed:
        state = "failed"
    elif unit.key in found.stale:
        state = "stale"
    return Piece(*place, state)


def _leaves(view: View) -> Iterator[Leaf]:
    for each in view.inputs().values():
        if not isinstance(each, View):
            yield _leaf(each, view)
    for value in view.params().values():
        if isinstance(value, Instrument):
            facts = {"precision": value.precision, "identity": value.key}
            yield Leaf(type(value).__name__.lower(), value.name, value.source, facts)
        elif isinstance(value, Clip):
            own = {"checkpoint": value.checkpoint, "side": "image and text", "libraries": value.libraries}
            yield Leaf("model", value.name, value.source, {**own, **value.identity("image")})
        elif isinstance(value, NamedTexts):
            listed = {"count": len(value), "contents": value.facts[value.word]}
            yield Leaf(value.word, value.name, value.source, listed)
        elif isinstance(value, MethodLabels):
            for key, known in value.imports.items():
                yield Leaf("import", key, str(known["source"]), {"method": value.name, **known})


def _plain(value: Any) -> Any:
    """Give a parameter's value as JSON has it: of what has a name that."""
    return value.name if isinstance(value, Clip | Instrument | MethodLabels | NamedTexts) else value


def _leaf(source: Source, view: View) -> Leaf:
    if isinstance(source, Model):
        own = {"checkpoint": source.checkpoint, "side": view.side, "libraries": source.libraries}
        return Leaf("model", source.name, source.source, {**own, **source.identity(view.side)})
    facts = {"count": len(source), "contents": source.all_contents}
    return Leaf(source.column, source.name, source.source, facts)


def _written(index: Index) -> str:
    """Write an index as it stands between brackets.

    >>> _written((slice(0, 64), -1, ...))
    '0:64, -1, ...'
    """
    return ", ".join(map(_entry, index if isinstance(index, tuple) else (index,)))


def _entry(entry: Any) -> str:
    if isinstance(entry, slice):
        parts = ["" if each is None else str(each) for each in (entry.start, entry.stop, entry.step)]
        return ":".join(parts[:2] if entry.step is None else parts)
    written = "..." if entry is Ellipsis else str(entry)
    return written if len(written) <= 40 else f"{len(entry)} of them"
