"""Takes over from another store the units that are not here: by their keys, verified, never computed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ...compute.kinds import Assisted
from ...compute.running.report import Progress
from ...compute.views import all_views
from ...store import digest, marker
from ...store.errors import BadSource, DamagedUnit, MissingUnits, ReadOnlyStore
from ...store.folder import Folder
from ...store.records import Kept, Record
from ...store.views import View
from ..engine import Engine
from . import foreign
from .pulling_imports import bring


@dataclass(frozen=True, slots=True)
class Pulled:
    """What was taken over from another store, or with `dry_run` what would be."""

    units: int
    """Units that were taken over."""
    bytes: int
    """What they take, metadata aside."""
    reused: int
    """Units that were here already, or that another process brought or made meanwhile."""
    lacking: int
    """Of a view: units that are in neither store."""
    names: tuple[str, ...]
    """Names and imports of labels that were taken over, each after its kind."""
    left: tuple[str, ...]
    """Names that stand for something else here, and imports of neurons that have others: left."""
    damaged: tuple[str, ...]
    """Objects of the other store that are not as they were written; what they belong to was not taken."""

    @property
    def complete(self) -> bool:
        """Whether all that was asked for could be taken over."""
        return not self.damaged


def pull(engine: Engine, path: Path, progress: Progress, *, dry_run: bool) -> Pulled:
    """Take over all units of another store, and its names; see `Store.pull`."""
    other = _opened(engine, path, dry_run=dry_run)
    names = foreign.match(engine.folder, other, dry_run=dry_run)
    here = _paths(engine.folder)
    there = _paths(other)
    taking = _Taking(engine.folder, other, progress, dry_run=dry_run)
    taking.run(sorted(path for path in there - here if path.split("/")[1] in all_views()))
    marks = [] if dry_run else foreign.mark(engine.folder, other, names)
    imports = bring(engine.folder, other, dry_run=dry_run)
    memos = engine.folder.memos.take(other.memos, dry_run=dry_run)
    return Pulled(
        taking.units,
        taking.nbytes,
        len(there & here) + taking.late,
        0,
        (*names.taken, *imports.taken),
        (*names.left, *imports.left),
        (*names.damaged, *taking.damaged, *marks, *imports.damaged, *memos),
    )


def pull_view(engine: Engine, path: Path, view: View, progress: Progress, *, dry_run: bool) -> Pulled:
    """Take over what a view lacks, and the views that a read of it needs; see `Store.pull`."""
    other = _opened(engine, path, dry_run=dry_run)
    taking = _Taking(engine.folder, other, progress, dry_run=dry_run)
    views = (*view.companions(), view)
    reused = lacking = 0
    wanted: list[str] = []
    for each in views:
        here, there = engine.done(each), other.records.done(each)
        missing = [unit for unit in each.units if unit.key not in here]
        reused += len(each.units) - len(missing)
        lacking += sum(unit.key not in there for unit in missing)
        wanted += [other.records.path(unit) for unit in missing if unit.key in there]
    taking.run(wanted)
    memos: list[str] = []
    if not dry_run and (taking.units or taking.late or reused):
        for each in views:
            engine.folder.records.describe(each)
        memos = engine.folder.memos.take_some(other.memos, _named(engine, views, other))
    damaged = (*taking.damaged, *memos)
    return Pulled(taking.units, taking.nbytes, reused + taking.late, lacking, (), (), damaged)


def _named(engine: Engine, views: Sequence[View], other: Folder) -> Iterator[str]:
    """Give the paths of the memos and pictures that the rows here of some views are from."""
    for view in views:
        if isinstance(view, Assisted):
            done, rows = engine.done(view), list[dict[str, Any]]()
            for unit in view.units:
                if unit.key in done:
                    with suppress(DamagedUnit, MissingUnits):
                        rows += engine.reader.rows(unit).to_pylist()
            yield from view.named(rows, other.memos)


def _opened(engine: Engine, path: Path, *, dry_run: bool) -> Folder:
    """Open the other store to read it; refuse one that is this one, or a pull into one that is only read."""
    path = path.expanduser()
    marker.check(path, "r")
    other = Folder(path, "r")
    if other.root == engine.folder.root:
        raise BadSource(f"{path} is this store itself; name another one to pull from")
    if not (engine.folder.writable or dry_run):
        raise ReadOnlyStore(
            f'{engine.folder.root} was opened with mode="r", so nothing can be pulled into it; '
            'open it with mode="a"'
        )
    return other


def _paths(folder: Folder) -> set[str]:
    """List the records of all units."""
    return {info.path for info in folder.objects.list("units/") if len(info.path.split("/")) == 4}


@dataclass(slots=True)
class _Taking:
    """Units on their way from one store to another."""

    here: Folder
    there: Folder
    progress: Progress
    dry_run: bool = field(kw_only=True)
    units: int = 0
    nbytes: int = 0
    late: int = 0
    damaged: list[str] = field(default_factory=list)

    def run(self, paths: Sequence[str]) -> None:
        """Take over the units of these records; what is not whole is noted, and the rest goes on."""
        if not paths:
            return
        self.progress.begin(len(paths), "looking" if self.dry_run else "pulling")
        try:
            for path in paths:
                try:
                    self._one(path)
                except DamagedUnit as error:
                    self.damaged += error.objects
                except FileNotFoundError:
                    pass  # set aside or collected there after it was listed
                self.progress.advance(1)
        finally:
            self.progress.end()

    def _one(self, path: str) -> None:
        record = self._record(path)
        if not self.dry_run:
            now = datetime.now(UTC).isoformat(timespec="seconds")
            before = record.made.get("pulled", [])
            made = {"pulled": [*before, {"time": now, "from": str(self.there.root)}]}
            if not self.here.records.take(path, record, lambda kept: self._data(path, record, kept), made):
                self.late += 1
                return
            self.here.objects.delete(f"failures/{path.removeprefix('units/')}")
        self.units += 1
        self.nbytes += record.nbytes

    def _record(self, path: str) -> Record:
        """Read a record of the other store; `DamagedUnit` where its bytes changed."""
        _, view, _, file = path.split("/")
        try:
            record = Record.from_json(self.there.objects.get(path))
        except ValueError as error:
            raise DamagedUnit(f"{view}/{file[:12]}", [f"{path}: its bytes changed"]) from error
        if f"{record.unit}.json" != file:
            raise DamagedUnit(f"{view}/{file[:12]}", [f"{path}: it is the record of {record.unit}"])
        return record

    def _data(self, path: str, record: Record, kept: Kept) -> bytes:
        """Read a data object of the other store; `DamagedUnit` where it is not as its record says."""
        place = f"{record.attempt}/{kept.path}"
        what = ""
        try:
            data = self.there.objects.get(place)
        except FileNotFoundError:
            if not self.there.objects.exists(path):  # the unit as a whole went away meanwhile
                raise
            what = "removed"
        else:
            if len(data) != kept.size:
                what = f"{len(data)} bytes instead of {kept.size}"
            elif digest.of_bytes(data) != kept.sha256:
                what = "its bytes changed"
        if what:
            raise DamagedUnit(path, [f"{place}: {what}"])
        return data
