"""A table view as DuckDB sees it: an Arrow dataset that reads the parts a statement can touch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import and_
from typing import Any, NamedTuple, cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.fs as pafs

from ..store.parts import schema as arrow_schema
from ..store.reader import Reader
from ..store.views import TableView, Unit

Ready = Callable[[TableView], set[str]]
"""Gives the keys of a view's units that are done."""


@dataclass(slots=True)
class Seen:
    """What the scans of one table touched."""

    needed: dict[str, Unit] = field(default_factory=dict)
    """Units whose rows could matter, by key."""
    missing: dict[str, Unit] = field(default_factory=dict)
    """Those of them that are not there."""
    nothing: bool = False
    """Whether a scan found no combination of inputs that its filter admits and that belongs to the table."""
    error: Exception | None = None
    """What went wrong while reading; DuckDB passes on its message and not the error itself."""


def schema_of(view: type[TableView], inputs: Sequence[str]) -> pa.Schema:
    """Give the columns of a table view: its inputs, then its own."""
    return arrow_schema({**dict.fromkeys(inputs, "string"), **view.columns})


class Scan(ds.InMemoryDataset):
    """The rows of one table view over some combinations of inputs.

    DuckDB calls `scanner` once for each scan, with the columns and the filter that it pushed down. Arrow
    drops the units whose promise (`layer == 11`) the filter contradicts; of the others, those that are
    done are read one after the other, so that a LIMIT stops early, and the rest are noted as missing.
    """

    def __init__(
        self,
        schema: pa.Schema,
        instances: Sequence[TableView],
        admitted: Callable[[TableView], bool],
        ready: Ready,
        reader: Reader,
    ) -> None:
        super().__init__(schema.empty_table())  # type: ignore[call-arg]  # the stubs leave it out
        self._instances, self._admitted, self._ready, self._reader = instances, admitted, ready, reader
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
        units = self._surviving(predicate)
        views = {id(unit.view): cast("TableView", unit.view) for unit in units}
        done = {key: self._ready(view) for key, view in views.items()}
        there = []
        for unit in units:
            self.seen.needed[unit.key] = unit
            if unit.key in done[id(unit.view)]:
                there.append(unit)
            else:
                self.seen.missing[unit.key] = unit
        shown = pa.schema([self.schema.field(name) for name in columns])
        return pa.RecordBatchReader.from_batches(shown, self._batches(there, columns, predicate))

    def _surviving(self, predicate: Any) -> list[Unit]:
        """List the units that the filter does not rule out, of the combinations that belong to the table.

        Only of those are the keys asked for: they take the digests of all contents.
        """
        places = [_Place(view, *span) for view in self._instances for span in enumerate(view.grid)]
        if predicate is not None and places:
            places = _prune(self.schema, places, predicate)
        views = {id(place.view): place.view for place in places}
        pinned = _pinned([{**view.names, **view.constant()} for view in views.values()])
        keep = {key for key, view in views.items() if pinned or self._admitted(view)}
        self.seen.nothing |= not keep and (bool(views) or self._is_new())
        return [place.view.units[place.number] for place in places if id(place.view) in keep]

    def _is_new(self) -> bool:
        return not any(self._admitted(view) for view in self._instances)

    def _batches(self, units: Sequence[Unit], columns: list[str], predicate: Any) -> Iterator[Any]:
        try:
            for unit in units:
                view = cast("TableView", unit.view)
                rows = _with_inputs(view.narrow(self._reader.rows(unit)), view.names)
                rows = rows.select(self.schema.names).cast(self.schema)
                if predicate is not None:
                    rows = rows.filter(predicate)
                yield from rows.select(columns).to_batches()
        except Exception as error:
            self.seen.error = error
            raise


@dataclass(frozen=True, slots=True)
class _Rows:
    """What DuckDB takes for an Arrow scanner."""

    reader: pa.RecordBatchReader

    def to_reader(self) -> pa.RecordBatchReader:
        return self.reader


class _Place(NamedTuple):
    """Where a unit is, without its key."""

    view: TableView
    number: int
    span: tuple[int, int]


def _prune(schema: pa.Schema, places: Sequence[_Place], predicate: Any) -> list[_Place]:
    """Let Arrow drop the units whose promise contradicts a predicate."""
    layout, nowhere = ds.ParquetFileFormat(), pafs.LocalFileSystem()
    fragments = [
        layout.make_fragment(str(number), nowhere, partition_expression=_promise(place))
        for number, place in enumerate(places)
    ]
    whole = ds.FileSystemDataset(fragments, schema, layout, nowhere)
    return [places[int(fragment.path)] for fragment in whole.get_fragments(predicate)]


def _promise(place: _Place) -> pc.Expression:
    """Say what holds for all rows of a unit: its inputs, what is constant, and its stretch of the axis."""
    view, _, (start, stop) = place
    axis = pc.field(view.axis)
    same = {**view.names, **view.constant()}
    terms = [pc.field(column) == value for column, value in same.items()]
    if view.axis in view.columns:
        terms += [axis == start] if stop == start + 1 else [axis >= start, axis < stop]
    return reduce(and_, terms)


def _pinned(names: Sequence[Mapping[str, str]]) -> bool:
    """Tell whether what survived a filter is one combination of inputs."""
    return len({tuple(each.items()) for each in names}) <= 1


def _with_inputs(rows: pa.Table, names: Mapping[str, str]) -> pa.Table:
    for column, name in names.items():
        rows = rows.append_column(column, pa.array([name] * len(rows), pa.string()))
    return rows
