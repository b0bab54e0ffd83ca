"""What is there of a view, what is not, and why not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..store import digest
from ..store.folder import Folder
from ..store.records import place
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


def status(folder: Folder, view: View, units: Sequence[Unit]) -> Status:
    """Look up the state of some of a view's units."""
    done = folder.records.done(view)
    ready = [unit for unit in units if unit.key in done]
    rest = [unit for unit in units if unit.key not in done]
    reported = folder.failures.units(view) if rest else set()
    reasons = {unit.key: folder.failures.whole(unit) for unit in rest if unit.key in reported}
    failed = [unit for unit in rest if reasons.get(unit.key)]
    left = [unit for unit in rest if unit not in failed]
    stale, causes = _stale(folder, view, left) if left else ([], [])
    records = [folder.records.get(unit) for unit in ready]
    messages = dict.fromkeys(reason.message for reason in reasons.values() if reason)
    return Status(
        view=view.title(),
        ready=len(ready),
        missing=len(left) - len(stale),
        stale=len(stale),
        failed=len(failed),
        absent=sum(len(record.absent) for record in records),
        bytes=sum(record.nbytes for record in records),
        causes=(*causes, *messages),
    )


def _stale(folder: Folder, view: View, missing: Sequence[Unit]) -> tuple[list[Unit], list[str]]:
    """Find which missing units were made before of other contents or by another recipe, and what changed."""
    causes: dict[str, None] = {}
    stale: dict[str, Unit] = {}
    for recipe_key, recipe in folder.records.recipes(view):
        if recipe["parameters"] != view.recipe["parameters"]:
            continue
        places = folder.records.places(view, recipe_key)
        for unit in missing:
            covers = places.get(place(unit))
            if covers is None:
                continue
            stale[unit.key] = unit
            found = digest.differences(recipe, view.recipe) or _changed(view, covers)
            causes.update(dict.fromkeys(found))
    return list(stale.values()), list(causes)


def _changed(view: View, covers: dict[str, object]) -> list[str]:
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
