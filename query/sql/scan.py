"""A view as DuckDB sees it: an Arrow dataset that reads, or fills, the units that a statement can touch."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from typing import Any, cast

import pyarrow as pa
import pyarrow.dataset as ds

from ...compute.instruments.sources import RULES
from ...store.errors import DamagedUnit, MissingUnits
from ...store.parts import schema as arrow_schema
from ...store.reader import Reader
from ...store.views import ArrayView, TableView, Unit, View
from ..completeness import Refused
from . import cells
from .options import Named
from .pruning import OneOf, Pruner, admits, asks, holding

Ready = Callable[[View], Collection[str]]
"""Gives the keys of a view's units that are done."""
Supply = Callable[[Sequence[Unit]], Collection[str]]
"""Computes units, and gives the keys of those that are there afterwards."""
ROUNDS = 4
"""How often what was found damaged is supplied again before it is given up."""


Spot = tuple[int, int]
"""Tells a unit from all others of a question: its view, as an object, and its place in it.

Its key does not: two sets of the same images share theirs, and have rows under two names.
"""


@dataclass(slots=True)
class Seen:
    """What the scans of one table touched."""

    needed: dict[Spot, Unit] = field(default_factory=dict)
    """Units whose rows could matter, each once."""
    missing: dict[Spot, Unit] = field(default_factory=dict)
    """Those of them that are not there."""
    scanned: bool = False
    """Whether there was a scan, and the rest says all that it could have touched."""
    nothing: bool = False
    """Whether a scan found no combination of inputs that its filter admits and that belongs to the table."""
    unknown: bool = False
    """Whether a scan's filter admits no combination of the names that there are."""
    left: dict[int, View] = field(default_factory=dict)
    """The combinations of inputs that filters leave."""
    views: dict[int, View] = field(default_factory=dict)
    """Those of them that belong to the table."""
    error: Exception | None = None
    """What went wrong while reading; DuckDB passes on its message and not the error itself."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a scan's rows come from."""

    instances: Sequence[View]
    """The combinations of inputs that the table's name can stand for."""
    admitted: Callable[[View], bool]
    """Tells which of them belong to it whatever the statement says."""
    ready: Ready
    """Tells which units are done."""
    reader: Reader
    """Reads those."""
    pruner: Pruner = field(default_factory=Pruner)
    """Finds the units that a filter leaves."""
    supply: Supply | None = None
    """Computes those that are missing; None leaves them out, and counts them."""
    one_by_one: bool = False
    """Whether units are computed as they are asked for, since the statement may stop early."""
    hint: Sequence[OneOf] = ()
    """Conditions on its columns that hold for all rows that the statement can use."""
    only: Set[str] | None = None
    """The keys of the units that rows may come from; None for all."""
    looking: bool = False
    """Whether scans only note what their filters leave, and give no rows."""
    asked: Set[Named] = frozenset()
    """What the statement asks for by name in the table's columns."""
    once: bool = True
    """Whether the statement names the table once, so that all of this is asked of each scan."""
    refused: Sequence[Refused] = ()
    """Combinations that there cannot be."""


def spot(unit: Unit) -> Spot:
    """Tell a unit from all others of a question."""
    return id(unit.view), unit.index


def shown(rows: pa.Table, columns: pa.Schema) -> pa.Table:
    """Give rows these columns; an input that a view can be without, and is, is null."""
    for each in columns:
        if each.name not in rows.column_names:
            rows = rows.append_column(each, pa.nulls(len(rows), each.type))
    return rows.select(columns.names).cast(columns)


def schema_of(view: View) -> pa.Schema:
    """Give the columns of a view: its inputs, its own, and the instruments beneath it."""
    named = dict.fromkeys(view.called, "string")
    return arrow_schema({**dict.fromkeys(view.names, "string"), **view.columns, **named})


class Scan(ds.InMemoryDataset):
    """The rows of one view over some combinations of inputs.

    DuckDB calls `scanner` once for each scan, with the columns and the filter that it pushed down. Arrow
    drops the units whose promise (`layer == 11`) the filter contradicts. When rows are first asked for,
    those of the others that are missing are computed, or else noted, and the rest is read piece by piece, so
    that a LIMIT stops early.
    """

    def __init__(self, schema: pa.Schema, source: Source, wants: str = "") -> None:
        """Show what a source has; `wants` says which instrument has to be added before it can have any."""
        super().__init__(schema.empty_table())  # type: ignore[call-arg]  # the stubs leave it out
        self._source = source
        self.wants = wants
        self.seen = Seen()

    def scanner(  # type: ignore[override]  # DuckDB asks of the answer only that it has a reader
        self,
        columns: Any = None,
        filter: Any = None,  # noqa: A002
        **_: Any,
    ) -> Any:
        """Answer one scan."""
        try:
            return _Rows(self._open(columns or self.schema.names, filter))
        except Exception as error:
            self.seen.error = error
            raise

    def _open(self, columns: list[str], predicate: Any) -> pa.RecordBatchReader:
        self.seen.scanned = True
        units = self._surviving(predicate)
        if self._source.looking:
            self._there(units, self._done(units))
            units = []
        shown = pa.schema([self.schema.field(name) for name in columns])
        return pa.RecordBatchReader.from_batches(shown, self._batches(units, columns, predicate))

    def every(self) -> dict[Spot, Unit]:
        """List all units of the table, whatever a statement asks."""
        return {spot(unit): unit for unit in self._surviving(None)}

    def _surviving(self, predicate: Any) -> list[Unit]:
        """List the units that the filter does not rule out, of the combinations that belong to the table.

        Only of those are the keys asked for: they take the digests of all contents.
        """
        every = self._source.instances
        pruner = self._source.pruner
        runs = pruner.runs(self.schema, every, predicate)
        views = {id(run.view): run.view for run in runs}
        meant = preferred(views.values())
        pinned = len({tuple(view.pinned.items()) for view in meant}) <= 1
        known = {id(view) for view in meant} if pinned else set()
        keep = {key for key, view in views.items() if key in known or self._source.admitted(view)}
        keep |= self._named(list(views.values()), keep, predicate)
        self.seen.nothing |= not keep and (bool(views) or not any(map(self._source.admitted, every)))
        if not runs and every and not admits(self.schema, every, predicate):
            named = admits(self.schema, every, predicate, blank=False)
            self.seen.nothing |= named  # and with a condition on heads with which nothing was filled
            self.seen.unknown |= not named
        self.seen.left |= views
        self.seen.views |= {key: views[key] for key in keep}
        kept = pruner.surviving(self.schema, [run for run in runs if id(run.view) in keep], predicate)
        if self._source.hint:
            kept = holding(kept, self._source.hint)
        units = [unit for place in kept for unit in place.view.units[place.first : place.stop]]
        only = self._source.only
        return units if only is None else [unit for unit in units if unit.key in only]

    def _named(self, views: Sequence[View], keep: Set[int], predicate: Any) -> set[int]:
        """Find the combinations that belong to the table for this alone, that a statement names them.

        `text_set IN ('a', 'b')` asks for two, whichever of them was filled.
        """
        added: set[int] = set()
        for named, group in by_name(self._source.asked, views):
            if keep.isdisjoint(map(id, group)) and (self._source.once or asks(self.schema, named, predicate)):
                meant = preferred(group)
                if len({tuple(view.pinned.items()) for view in meant}) == 1:
                    added.update(map(id, meant))
        return added

    @property
    def asked(self) -> Set[Named]:
        """What the statement asks for by name in the table's columns."""
        return self._source.asked

    def why_not(self, named: Named) -> str:
        """Say why there can be no combination of some names; nothing where that is not known."""
        mine = (each.why for each in self._source.refused if {*named} <= each.names.items())
        return " ".join(next(mine, "").split())

    def names(self, column: str) -> Set[str]:
        """List what combinations have in a column, whatever the statement's filters."""
        return self._names.get(column, frozenset())

    @cached_property
    def _names(self) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for view in self._source.instances:
            for column, text in view.pinned.items():
                found.setdefault(column, set()).add(text)
        return found

    def has(self, named: Named) -> bool:
        """Tell whether some names are of what scans admit; also where it is not known, as there was none."""
        return not self.seen.scanned or any(named_so(view, named) for view in self.seen.views.values())

    def told_apart(self, named: Named) -> dict[str, set[str]]:
        """List by column what is meant by some names can still be told apart by."""
        meant = preferred(view for view in self.seen.left.values() if named_so(view, named))
        found: dict[str, set[str]] = {}
        for view in meant:
            for column, text in view.pinned.items():
                found.setdefault(column, set()).add(text)
        return found

    def leaves(self, named: Named) -> bool:
        """Tell whether filters leave a combination of these names, which need not belong to the table."""
        return any(named_so(view, named) for view in self.seen.left.values())

    def _batches(self, units: list[Unit], columns: list[str], predicate: Any) -> Iterator[Any]:
        try:
            waves = [[unit] for unit in units] if self._source.one_by_one else [units]
            done = self._done(units)
            for wave in waves:
                there = self._there(wave, done)
                for group in self._groups(there, predicate):
                    if (rows := self._rows(group, columns, predicate)) is not None:
                        yield from rows.to_batches()
        except Exception as error:
            self.seen.error = error
            raise

    def _done(self, units: Sequence[Unit]) -> dict[int, Collection[str]]:
        """List what is done of the views of some units, by the views' identity."""
        views = {id(unit.view): unit.view for unit in units}
        return {key: self._source.ready(view) for key, view in views.items()}

    def _there(self, units: Sequence[Unit], done: Mapping[int, Collection[str]]) -> list[Unit]:
        """Note what is needed, have what is missing computed, and list what is there then."""
        self.seen.needed |= {spot(unit): unit for unit in units}
        lacking = [unit for unit in units if unit.key not in done[id(unit.view)]]
        made = self._source.supply(lacking) if lacking and self._source.supply else ()
        missing = {spot(unit): unit for unit in lacking if unit.key not in made}
        self.seen.missing |= missing
        return [unit for unit in units if spot(unit) not in missing]

    def _groups(self, units: Sequence[Unit], predicate: Any) -> Iterator[list[Unit]]:
        """Cut units into groups of one view that are read at once: of tables, one by one."""
        for _, some in groupby(units, lambda unit: id(unit.view)):
            mine = list(some)
            view = mine[0].view
            if isinstance(view, ArrayView):
                yield from cells.groups(view, mine, self.schema, predicate)
            else:
                yield from ([unit] for unit in mine)

    def _rows(self, units: list[Unit], columns: list[str], predicate: Any) -> pa.Table | None:
        """Read some units of one view; what turns out damaged, or goes away meanwhile, is supplied again.

        Where nothing is supplied, what went away is noted as missing; None where nothing is left.
        """
        for left in reversed(range(ROUNDS)):
            try:
                return self._read(units, columns, predicate)
            except (DamagedUnit, MissingUnits) as error:
                if not left or (self._source.supply is None and isinstance(error, DamagedUnit)):
                    raise
                units = self._again(units)
            if not units:
                return None
        raise AssertionError("the last round raises")

    def _again(self, units: list[Unit]) -> list[Unit]:
        """Supply units again, or list those that are still there."""
        if self._source.supply is None:
            return self._there(units, self._done(units))
        made = self._source.supply(units)
        lacking = [unit for unit in units if unit.key not in made]
        self.seen.missing |= {spot(unit): unit for unit in lacking}
        return [unit for unit in units if unit.key in made]

    def _read(self, units: list[Unit], columns: list[str], predicate: Any) -> pa.Table:
        view, reader = units[0].view, self._source.reader
        if isinstance(view, ArrayView):
            return cells.rows(view, units, reader, self.schema, columns, predicate)
        assert isinstance(view, TableView)
        rows = pa.concat_tables([view.narrow(reader.rows(unit)) for unit in units])
        for column, name in view.called.items():
            rows = rows.append_column(column, pa.repeat(pa.scalar(name, pa.string()), len(rows)))
        rows = shown(rows, self.schema)
        return (rows if predicate is None else rows.filter(predicate)).select(columns)


def by_name(asked: Set[Named], views: Sequence[View]) -> Iterator[tuple[Named, list[View]]]:
    """List what is asked for by name, each with the combinations that have it, where there are some."""
    told: dict[tuple[str, ...], dict[Named, list[View]]] = {}
    for named in sorted(asked):
        columns = tuple(column for column, _ in named)
        if columns not in told:
            told[columns] = {}
            for view in views:
                mine = tuple((column, view.pinned.get(column)) for column in columns)
                told[columns].setdefault(cast("Named", mine), []).append(view)
        if named in told[columns]:
            yield named, told[columns][named]


def named_so(view: View, named: Named) -> bool:
    """Tell whether all rows of a view have these texts in these columns."""
    return all(view.pinned.get(column) == text for column, text in named)


def preferred(views: Iterable[View]) -> list[View]:
    """Give those that are meant where nothing tells them apart.

    `rules` is there unasked: what is by it is left out where it is by a language model, too. And of what
    differs only in a choice, such as the mode of ablations, the default is meant.
    """
    every = list(views)
    others = {_but(view, ["language"]) for view in every if view.instruments.get("language", RULES) != RULES}
    left = [
        view
        for view in every
        if view.instruments.get("language") != RULES or _but(view, ["language"]) not in others
    ]
    usual = {_but(view, view.choices()) for view in left if _is_usual(view)}
    return [view for view in left if _is_usual(view) or _but(view, view.choices()) not in usual]


def _but(view: View, left_out: Collection[str]) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in view.pinned.items() if name not in left_out)


def _is_usual(view: View) -> bool:
    """Tell whether what could be chosen is at its default."""
    defaults = {each.name: each.default for each in view.fields()}
    return all(view.pinned.get(name) == defaults.get(name) for name in view.choices())


@dataclass(frozen=True, slots=True)
class _Rows:
    """What DuckDB takes for an Arrow scanner."""

    reader: pa.RecordBatchReader

    def to_reader(self) -> pa.RecordBatchReader:
        return self.reader
