"""Units that can be computed again, the least recently used first: which of them to give up."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...compute.views import all_views
from ...store.errors import BadSource, UnknownName
from ...store.folder import Folder
from ...store.garbage import Litter, evicted, facts_of
from ...store.objects import ObjectInfo
from ...store.records import Record
from ...store.uses import used


@dataclass(frozen=True, slots=True)
class Limits:
    """Which units may go, and how many of them."""

    max_bytes: int | None
    """Give up units until all that are kept take no more than that."""
    older_than: float | None
    """Give up units that were not used for so many seconds."""
    keep: frozenset[str]
    """Views whose units are never given up."""
    only: frozenset[str]
    """Views whose units alone may go, also precious ones; if there are none, all that can be made again."""

    @property
    def any(self) -> bool:
        """Whether any unit is to be given up at all."""
        return self.max_bytes is not None or self.older_than is not None


@dataclass(frozen=True, slots=True)
class Held:
    """A unit that is kept, as a candidate."""

    view: str
    """Its view."""
    recipe: str
    """The key of its recipe."""
    path: str
    """Its record."""
    record: Record
    """What the record says."""
    used: float
    """When it was last read, or made where no reading is known of, in seconds since 1970."""


def check(folder: Folder, limits: Limits) -> None:
    """Refuse views that there are not, and those that are both to be kept and to go."""
    known = {*all_views(), *folder.objects.folders("units/")}
    for view in sorted(limits.keep | limits.only):
        if view not in known:
            raise UnknownName("view", view, known)
    for view in sorted(limits.keep & limits.only):
        raise BadSource(f"{view} is both to be kept (keep) and to be collected (views); name it in one")
    if limits.only and not limits.any:
        raise BadSource(
            f"views={', '.join(sorted(limits.only))} says whose units may go, and nothing says how many of "
            "them; give max_bytes (--max-bytes) or older_than (--older-than), too"
        )


def held(folder: Folder, units: Mapping[str, ObjectInfo], now: float) -> list[Held]:
    """Read the records of all units, the least recently used first; what cannot be read is left out."""
    marks, found = used(folder.objects), []
    for key, info in units.items():
        record = read(folder, info.path)
        if record is None:
            continue
        _, view, recipe, _ = info.path.split("/")
        last = max(info.modified.timestamp(), marks.get(key, 0.0))
        found.append(Held(view, recipe, info.path, record, min(last, now)))
    return sorted(found, key=lambda each: (each.used, each.path))


def read(folder: Folder, path: str) -> Record | None:
    """Read a record; None where it is gone since, or for `verify` to find."""
    try:
        return Record.from_json(folder.objects.get(path))
    except (FileNotFoundError, ValueError):
        return None


def choose(units: Sequence[Held], limits: Limits, free: Collection[Held], now: float) -> list[Held]:
    """Choose which units go, of those that are free to. Pure; `units` has the least recently used first."""
    total, chosen, may = sum(each.record.nbytes for each in units), [], {each.path for each in free}
    for each in units:
        old = limits.older_than is not None and now - each.used > limits.older_than
        many = limits.max_bytes is not None and total > limits.max_bytes
        if each.path in may and (old or many):
            chosen.append(each)
            total -= each.record.nbytes
    return chosen


def free(folder: Folder, units: Sequence[Held], limits: Limits) -> list[Held]:
    """List the units that may go: those of named views, or those that are known to be computed again."""
    again = _again(folder)
    return [
        each
        for each in units
        if each.view not in limits.keep
        and (
            each.view in limits.only
            if limits.only
            else each.recipe in again and "imported" not in each.record.facts
        )
    ]


def _again(folder: Folder) -> set[str]:
    """List the recipes by which units can be made again: known, of views that are there, not imported."""
    views = {name for name, view in all_views().items() if not view.precious}
    views |= folder.objects.folders("names/declared/") - all_views().keys()
    found: dict[str, bool] = {}
    for info in folder.objects.list("recipes/"):
        _, view, *_, file = info.path.split("/")
        key = file.removesuffix(".json")
        if key not in found and view in views:
            recipe = facts_of(folder.objects, info.path)
            found[key] = recipe is not None and not _imported(recipe)
    return {key for key, can in found.items() if can}


def _imported(recipe: Mapping[str, Any]) -> bool:
    """Tell whether units of a recipe are what was imported; those made from it can be made again."""
    return any("imported" in each for each in recipe["inputs"].values())


def litter(chosen: Sequence[Held]) -> list[Litter]:
    """Give units as what is to be removed."""
    return [evicted(each.path, each.record) for each in chosen]
