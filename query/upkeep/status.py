"""What is there of a view, what is not, and why not."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ...compute.heads.head_sets import conditions
from ...store.errors import DamagedUnit
from ...store.folder import Folder
from ...store.records import Record, places
from ...store.sets import ImageSet
from ...store.views import Unit, View
from ..causes import APPENDED, changes, contents_changed, other_settings, same_question
from ..known import imported_methods
from .on_disk import OnDisk, reads_masks


@dataclass(frozen=True, slots=True)
class Status:
    """Counts of a view's units, and what is known about those that are not ready."""

    view: str
    """The view with its inputs."""
    ready: int
    """Units that are kept, and made from what there is now."""
    missing: int
    """Units that were never made."""
    stale: int
    """Units that were made from something that has changed since.

    Where that is a file on disk they are kept, and read, until the change is taken in: `Store.add_images`.
    """
    failed: int
    """Units that could not be made."""
    absent: int
    """Images and texts in the units that are kept that could not be read."""
    bytes: int
    """What the units that are kept take on disk, metadata aside."""
    causes: tuple[str, ...]
    """What changed where units are stale, why units failed, and with what other parameters some are kept."""

    @property
    def units(self) -> int:
        """How many units the view has."""
        return self.ready + self.missing + self.stale + self.failed

    @property
    def fresh(self) -> bool:
        """Whether every unit is ready."""
        return self.ready == self.units

    def counts(self) -> str:
        """Count the units in words: `2 of 12 units ready, 10 stale`."""
        parts = [f"{self.ready} of {self.units} units ready"]
        for count, what in ((self.missing, "missing"), (self.stale, "stale"), (self.failed, "failed")):
            if count:
                parts.append(f"{count} {what}")
        return ", ".join(parts)

    def __str__(self) -> str:
        absent = f", {self.absent} rows absent" if self.absent else ""
        lines = [f"{self.view}: {self.counts()}{absent}, {self.bytes / 1e6:,.1f} MB"]
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


def status(folder: Folder, view: View, units: Sequence[Unit], disk: OnDisk | None) -> Status:
    """Look up the state of some of a view's units, and with `disk` at the files that they were made from."""
    briefs = folder.records.briefs(view)
    kept = [unit for unit in units if unit.key in briefs]
    changed, on_disk = disk.touched(kept) if disk is not None else ([], [])
    rest = _rest(folder, view, units, briefs)
    failed, stale = (sum(unit.key in keys for unit in units) for keys in (rest.failed, rest.stale))
    covered = [briefs[key] for key in {unit.key for unit in kept}]
    return Status(
        view=view.title(),
        ready=len(kept) - len(changed),
        missing=len(units) - len(kept) - failed - stale,
        stale=stale + len(changed),
        failed=failed,
        absent=sum(brief.absent for brief in covered),
        bytes=sum(brief.nbytes for brief in covered),
        causes=(*on_disk, *rest.causes, *dict.fromkeys(rest.failed.values())),
    )


def unusable(name: str, reason: str) -> Status:
    """Give the state of a declared view that cannot be used any more."""
    return Status(name, ready=0, missing=0, stale=0, failed=1, absent=0, bytes=0, causes=(reason,))


def out_of_reach(name: str, units: int, reason: str) -> Status:
    """Give the state of units that are kept, and that nobody can ask for any more."""
    return Status(name, ready=0, missing=0, stale=units, failed=0, absent=0, bytes=0, causes=(reason,))


def states(folder: Folder, view: View, units: Sequence[Unit]) -> States:
    """Look up what is known of each of some units; those that are nowhere in it were never made."""
    records = _kept(folder, view, units)
    rest = _rest(folder, view, units, records)
    return States(records, rest.failed, rest.stale, rest.causes)


def _kept(folder: Folder, view: View, units: Sequence[Unit]) -> dict[str, Record]:
    """Read the records of the units that are done; one that turns out damaged counts as missing."""
    done = folder.records.done(view)
    found = {}
    for unit in units:
        if unit.key in done:
            with suppress(DamagedUnit, FileNotFoundError):
                found[unit.key] = folder.records.get(unit)
    return found


@dataclass(frozen=True, slots=True)
class _Rest:
    """What is known of units that are not kept; see `States`."""

    failed: Mapping[str, str]
    stale: frozenset[str]
    causes: tuple[str, ...]


def _rest(folder: Folder, view: View, units: Sequence[Unit], kept: Collection[str]) -> _Rest:
    rest = [unit for unit in units if unit.key not in kept]
    reported = folder.failures.units(view) if rest else set()
    reasons = {unit.key: folder.failures.whole(unit) for unit in rest if unit.key in reported}
    failed = {key: reason.message for key, reason in reasons.items() if reason}
    left = [unit for unit in rest if unit.key not in failed]
    stale, causes = _stale(folder, view, left, none_kept=not kept) if left else ([], [])
    return _Rest(failed, frozenset(stale), tuple(causes))


def _stale(
    folder: Folder, view: View, missing: Sequence[Unit], *, none_kept: bool
) -> tuple[list[str], list[str]]:
    """Find which missing units were made before of other contents or by another recipe, and what changed.

    Where none was ever made, it is said which other parameters units were made with.
    """
    causes: dict[str, None] = {}
    stale: dict[str, None] = {}
    others = []
    spots = {unit.key: places(unit) for unit in missing}
    ends = {unit.key: unit.stop for unit in missing}
    for recipe_key, recipe in folder.records.recipes(view):
        if not same_question(recipe, view):
            others.append((recipe_key, recipe))
            continue
        there = folder.records.places(view, recipe_key)
        before = {key: there[spot] for key, each in spots.items() for spot in each if spot in there}
        stale |= dict.fromkeys(before)
        changed = changes(recipe, view.recipe)
        found = changed if before else []
        if not changed:
            full = {key for key, covers in before.items() if _is_full(view, ends[key], covers)}
            grown, whole = (
                _distinct(covers for key, covers in before.items() if (key in full) == each)
                for each in (False, True)
            )
            found = [change for covers in grown for change in contents_changed(view, covers)]
            own = [change for covers in whole for change in contents_changed(view, covers)]
            own = [change for change in own if APPENDED not in change]
            found += own or ([_what_changed(view)] if whole else [])
        causes |= dict.fromkeys(found)
    if stale and not causes:
        causes[_what_changed(view)] = None
    if none_kept and not stale:
        kept = [recipe for key, recipe in others if folder.records.places(view, key)]
        causes |= dict.fromkeys(other_settings(kept, view))
    return list(stale), list(causes)


def _is_full(view: View, stop: int, covers: Mapping[str, Any]) -> bool:
    """Tell whether a block of images ended where it ends now, so that others that came did not change it."""
    return view.axis == "image" and int(covers["stop"]) == stop


def _what_changed(view: View) -> str:
    """Say what can have changed where neither a recipe nor the contents of a set have."""
    sets = [each for each in view.sources() if isinstance(each, ImageSet)]
    if reads_masks(view) and sets:
        return f"masks of {sets[0].name!r} changed"
    if methods := imported_methods(view):
        return f"the labels that were imported by {', '.join(map(repr, methods))} changed"
    chosen = ", ".join(map(repr, conditions(view.recipe)))
    return f"the heads of {chosen} changed" if chosen else f"what {view.title()} is made from has changed"


def _distinct(covers: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Keep one of those that cover the same sets: digests of whole sets take time."""
    sets = {repr((each.get("image_set"), each.get("text_set"))): each for each in covers}
    return list(sets.values())
