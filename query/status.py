"""What is there of a view, what is not, and why not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ..store import digest
from ..store.errors import DamagedUnit
from ..store.folder import Folder
from ..store.records import Record, parameters, places
from ..store.sets import ImageSet, TextSet
from ..store.views import Unit, View


@dataclass(frozen=True, slots=True)
class Status:
    """Counts of a view's units, and what is known about those that are not ready."""

    view: str
    """The view with its inputs."""
    ready: int
    """Units that are kept."""
    missing: int
    """Units that were never made."""
    stale: int
    """Units that were made from something that has changed since."""
    failed: int
    """Units that could not be made."""
    absent: int
    """Images and texts in ready units that could not be read."""
    bytes: int
    """What the ready units take on disk, metadata aside."""
    causes: tuple[str, ...]
    """What changed, where units are stale, and why units failed."""

    @property
    def units(self) -> int:
        """How many units the view has."""
        return self.ready + self.missing + self.stale + self.failed

    def __str__(self) -> str:
        parts = [f"{self.ready} of {self.units} units ready"]
        for count, what in ((self.missing, "missing"), (self.stale, "stale"), (self.failed, "failed")):
            if count:
                parts.append(f"{count} {what}")
        if self.absent:
            parts.append(f"{self.absent} rows absent")
        lines = [f"{self.view}: {', '.join(parts)}, {self.bytes / 1e6:,.1f} MB"]
        return "\n".join([*lines, *(f"  {cause}" for cause in self.causes)])


@dataclass(frozen=True, slots=True)
class States:
    """What is known of some units of a view."""

    records: Mapping[str, Record]
    """The records of those that are ready, by key."""
    failed: Mapping[str, str]
    """Why others could not be made, by key."""
    stale: frozenset[str]
    """The keys of those that were made before, from something that has changed since."""
    causes: tuple[str, ...]
    """What changed."""


def status(folder: Folder, view: View, units: Sequence[Unit]) -> Status:
    """Look up the state of some of a view's units."""
    found = states(folder, view, units)
    ready = len([unit for unit in units if unit.key in found.records])
    failed, stale = (sum(unit.key in keys for unit in units) for keys in (found.failed, found.stale))
    return Status(
        view=view.title(),
        ready=ready,
        missing=len(units) - ready - failed - stale,
        stale=stale,
        failed=failed,
        absent=sum(len(record.absent) for record in found.records.values()),
        bytes=sum(record.nbytes for record in found.records.values()),
        causes=(*found.causes, *dict.fromkeys(found.failed.values())),
    )


def states(folder: Folder, view: View, units: Sequence[Unit]) -> States:
    """Look up what is known of each of some units; those that are nowhere in it were never made."""
    records = _kept(folder, view, units)
    rest = [unit for unit in units if unit.key not in records]
    reported = folder.failures.units(view) if rest else set()
    reasons = {unit.key: folder.failures.whole(unit) for unit in rest if unit.key in reported}
    failed = {key: reason.message for key, reason in reasons.items() if reason}
    left = [unit for unit in rest if unit.key not in failed]
    stale, causes = _stale(folder, view, left) if left else ([], [])
    return States(records, failed, frozenset(unit.key for unit in stale), tuple(causes))


def _kept(folder: Folder, view: View, units: Sequence[Unit]) -> dict[str, Record]:
    """Read the records of the units that are done; one that turns out damaged counts as missing."""
    done = folder.records.done(view)
    found = {}
    for unit in units:
        if unit.key in done:
            with suppress(DamagedUnit, FileNotFoundError):
                found[unit.key] = folder.records.get(unit)
    return found


def _stale(folder: Folder, view: View, missing: Sequence[Unit]) -> tuple[list[Unit], list[str]]:
    """Find which missing units were made before of other contents or by another recipe, and what changed."""
    causes: dict[str, None] = {}
    stale: dict[str, Unit] = {}
    spots = {unit.key: places(unit) for unit in missing}
    for recipe_key, recipe in folder.records.recipes(view):
        if parameters(recipe) != parameters(view.recipe):
            continue
        there = folder.records.places(view, recipe_key)
        before = {key: there[spot] for key, each in spots.items() for spot in each if spot in there}
        stale |= {unit.key: unit for unit in missing if unit.key in before}
        changes = [_plainly(each) for each in digest.differences(recipe, view.recipe)]
        found = changes if before else []
        if not changes:
            found = [change for covers in _distinct(before.values()) for change in _changed(view, covers)]
        causes.update(dict.fromkeys(found))
    return list(stale.values()), list(causes)


def _plainly(change: str) -> str:
    """Leave out where in the tree of views something changed: `model.weights changed: 1f… → 2b…`."""
    name, changed, values = change.partition(" changed: ")
    return f"{name.rpartition('inputs.')[2]}{changed}{values}"


def _distinct(covers: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Keep one of those that cover the same sets: digests of whole sets take time."""
    sets = {digest.of_facts([each.get("image_set"), each.get("text_set")]): each for each in covers}
    return list(sets.values())


def _changed(view: View, covers: Mapping[str, Any]) -> list[str]:
    """Say how the images or texts differ from those that a unit was made from."""
    found = []
    for source in view.sources():
        before = covers.get(source.column)
        if not isinstance(source, ImageSet | TextSet) or not isinstance(before, dict):
            continue
        count, now = int(before["count"]), len(source)
        what = "images" if isinstance(source, ImageSet) else "texts"
        if source.all_contents == before["contents"]:
            continue
        if now > count and source.contents(0, count) == before["contents"]:
            found.append(f"{what} appended: {count} → {now}")
        else:
            found.append(f"{what} of {source.name!r} changed")
    return found
