"""Removes from a store what nobody needs and, where that is asked for, what was used least recently."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from ...compute.heads.head_sets import conditions
from ...compute.images.pictures import kept_objects, paths_of
from ...compute.views import all_views
from ...store import digest, parts
from ...store.errors import BadSource, ReadOnlyStore
from ...store.folder import Folder
from ...store.garbage import Found, Litter, evicted, find, remove, sets_of_names, unneeded
from ...store.imports import PARTS
from ...store.objects import ObjectInfo, Objects
from ...store.uses import merge
from . import eviction
from .eviction import Held, Limits

WHAT = {
    "attempts": "data of attempts that were not finished",
    "damaged": "damaged units and their data",
    "claims": "claims that nobody holds any more",
    "writers": "words of writers that are gone",
    "temporary": "temporary files",
    "dropped": "tables of declared views that were dropped, and what they chose heads for",
    "sets": "lists of images and texts that no name needs",
    "pictures": "pictures that no name needs",
    "imports": "tables of imports that were removed or not finished",
}
"""What is always collected, by kind."""


@dataclass(frozen=True, slots=True)
class Freed:
    """One line of what was removed, or would be."""

    what: str
    """The kind of it, or the view whose units they are."""
    count: int
    """How many."""
    bytes: int
    """What they take."""
    used: datetime | None = None
    """When the last of these units was used; None for what are no units."""


@dataclass(frozen=True, slots=True)
class Collected:
    """What a collection removed, or would remove."""

    garbage: tuple[Freed, ...]
    """What nobody needs, by kind; kinds of which there is nothing are left out."""
    units: tuple[Freed, ...]
    """Units that were given up, by view."""
    removed: bool
    """Whether it was removed; False for a dry run."""
    left: int
    """The bytes of the units that stay."""
    over: int
    """Bytes of these beyond `max_bytes`, in units that are not given up without being named."""
    notes: tuple[str, ...]
    """What was left alone, and why."""

    @property
    def bytes(self) -> int:
        """All that was freed, or would be."""
        return sum(each.bytes for each in (*self.garbage, *self.units))

    def __str__(self) -> str:
        lines = [f"{'removed' if self.removed else 'would remove'} {self.bytes:,} bytes"]
        lines += [f"  {each.count:>6} {each.what}, {each.bytes:,} bytes" for each in self.garbage]
        lines += [
            f"  {each.count:>6} units of {each.what}, {each.bytes:,} bytes, last used {each.used:%F %H:%M}"
            for each in self.units
        ]
        return "\n".join([*lines, *self.notes])


def collect(folder: Folder, limits: Limits, *, grace: float, dry_run: bool) -> Collected:
    """Collect what nobody needs, and units as far as the limits say; see `Store.gc`."""
    if grace < 0:
        raise BadSource(f"grace={grace}: it starts at 0 seconds")
    if folder.in_memory or (folder.objects.read_only and not dry_run):
        raise ReadOnlyStore('the store was opened with mode="r"; open it with mode="a" to collect from it')
    eviction.check(folder, limits)
    sets, pictures, rows = (list(folder.objects.list(each)) for each in ("sets/", "pictures/", PARTS))
    found = find(folder, grace=grace, dry_run=dry_run)
    unnamed, notes = _unnamed(folder.objects, sets, pictures, found)
    litter = [*found.litter, *unnamed, *_imports(folder, rows, found), *_dropped(folder, found, limits.keep)]
    chosen, left = _chosen(folder, found, limits) if limits.any else ([], 0)
    if not dry_run:
        for each in [*litter, *eviction.litter(chosen)]:
            remove(folder, each)
        gone = {each.record.unit for each in chosen}
        merge(folder.objects, found.units.keys() - gone, datetime.now(UTC) - timedelta(seconds=found.grace))
    over = max(0, left - limits.max_bytes) if limits.max_bytes is not None else 0
    return Collected(_by_kind(litter), _by_view(chosen), not dry_run, left, over, tuple(notes))


def _unnamed(
    objects: Objects, sets: Sequence[ObjectInfo], pictures: Sequence[ObjectInfo], found: Found
) -> tuple[list[Litter], list[str]]:
    """List sets and pictures that no version of a name needs; none where that cannot be told."""
    needed = sets_of_names(objects) if sets or pictures else set()
    if needed is None:
        return [], ["lists and pictures are left alone: not every name can be read (belvedere verify)"]
    litter = list(unneeded(objects, "sets", sets, needed, found))
    shown = _pictures(objects, sorted(needed)) if pictures else set()
    if shown is None:
        return litter, ["pictures are left alone: a list of images is damaged (belvedere verify)"]
    return [*litter, *unneeded(objects, "pictures", pictures, shown, found)], []


def _imports(folder: Folder, rows: Sequence[ObjectInfo], found: Found) -> Iterator[Litter]:
    """List the parts that no import names; none where a record cannot be read: it may be mended."""
    named = folder.imports.named() if rows else set()
    if named is not None:
        yield from unneeded(folder.objects, "imports", rows, named, found)


def _dropped(folder: Folder, found: Found, keep: Set[str]) -> list[Litter]:
    """List what was kept of names which were declared once, and stand for nothing now.

    That is their tables, and units of other views of which they chose the heads.
    """
    known = folder.objects.folders("names/declared/")
    known -= all_views().keys() | keep
    gone = {name for name in known if not folder.names.has("declared", name)}
    chosen = set(_chosen_by(folder, gone, keep)) if gone else set()
    paths = (info.path for info in found.units.values())
    mine = [path for path in paths if path.split("/")[1] in gone or path.rpartition("/")[0] in chosen]
    records = ((path, eviction.read(folder, path)) for path in sorted(mine))
    return [replace(evicted(path, record), kind="dropped") for path, record in records if record is not None]


def _chosen_by(folder: Folder, gone: Set[str], keep: Set[str]) -> Iterator[str]:
    """List the folders of units whose heads were chosen by names that are gone."""
    for view in sorted(folder.records.filled() - keep):
        for _, recipe in folder.records.every_recipe(view):
            if not gone.isdisjoint(conditions(recipe)):
                yield f"units/{view}/{digest.key_of(recipe)}"


def _pictures(objects: Objects, sets: Sequence[str]) -> set[str] | None:
    """List the pictures that these sets have in the store; None where one of them is damaged."""
    shown: set[str] = set()
    for path in sets:
        data = objects.get(path)
        if f"sets/{digest.of_bytes(data)}.parquet" != path:
            return None
        entries = parts.decode(data)
        if "path" in entries.column_names:
            shown |= kept_objects(paths_of(entries))
    return shown


def _chosen(folder: Folder, found: Found, limits: Limits) -> tuple[list[Held], int]:
    """Choose the units to give up; tell the bytes of those that stay."""
    now = time.time()
    units = eviction.held(folder, found.units, now)
    chosen = eviction.choose(units, limits, eviction.free(folder, units, limits), now)
    size = [sum(each.record.nbytes for each in some) for some in (units, chosen)]
    return chosen, size[0] - size[1]


def _by_kind(litter: Sequence[Litter]) -> tuple[Freed, ...]:
    sizes = {kind: [each.size for each in litter if each.kind == kind] for kind in WHAT}
    return tuple(Freed(WHAT[kind], len(each), sum(each)) for kind, each in sizes.items() if each)


def _by_view(chosen: Sequence[Held]) -> tuple[Freed, ...]:
    views: dict[str, list[Held]] = {}
    for each in chosen:
        views.setdefault(each.view, []).append(each)
    return tuple(
        Freed(
            view,
            len(units),
            sum(each.record.nbytes for each in units),
            datetime.fromtimestamp(max(each.used for each in units), UTC),
        )
        for view, units in sorted(views.items())
    )
