"""Files of pictures and of masks as they are now, against what their image sets say of them."""

from __future__ import annotations

import os
import shlex
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Literal

from ...compute.images.pictures import DATASET, DEMO, GONE, KEPT, Pictures
from ...store import digest
from ...store.errors import MissingExtra
from ...store.objects import Objects
from ...store.sets import ImageSet
from ...store.views import Unit, View

Change = Literal["changed", "gone", "back"]
_SAID: dict[Change, str] = {
    "changed": "changed on disk",
    "gone": "gone from disk",
    "back": "that were gone are back on disk",
}


@dataclass(frozen=True)
class Changed:
    """What became of the files of one image set since it was last added."""

    images: ImageSet
    """The set."""
    places: dict[int, Change]
    """What became of each picture's file that is not as it was, by image_id, in order."""
    look_at_masks: Callable[[], dict[int, Change]]
    """Looks at the files of masks."""

    @cached_property
    def masks(self) -> dict[int, Change]:
        """What became of them, likewise; they are read when they are asked for first."""
        return self.look_at_masks()

    def causes(self) -> list[str]:
        """Say how many pictures changed or are gone, which is the first, and what to do."""
        paths = [self.images.path(place) for place in self.places]
        return self._causes("images", self.places, paths, self._hint())

    def causes_of_masks(self) -> list[str]:
        """Say the same of masks."""
        paths = [mask[0] for place in self.masks if (mask := self.images.masks[place])]
        return self._causes("masks", self.masks, paths, f"{self._hint()}, with --masks")

    def _causes(self, what: str, changes: Mapping[int, Change], paths: Sequence[str], hint: str) -> list[str]:
        found = []
        for kind, said in _SAID.items():
            mine = [path for path, change in zip(paths, changes.values(), strict=True) if change == kind]
            if mine:
                count = f"{len(mine):,} of {len(self.images):,}"
                found.append(f"{what} {said}: {count} of {self.images.name!r}, first {mine[0]}; {hint}")
        return found

    def _hint(self) -> str:
        source = self.images.source
        named = shlex.quote(source) if Path(source.rpartition("#")[0] or source).exists() else "…"
        return f"belvedere add images {self.images.name} {named} takes this in"


class OnDisk:
    """The files of image sets, looked at once for one question.

    A file whose size and time are those in the set's list is as it was; of any other the bytes are read, so
    one that was only touched is as it was, too. Rows of data sets are looked at by the files that hold them.
    Pictures that are painted or kept in the store never change, and are not looked at.
    """

    def __init__(self, objects: Objects) -> None:
        self._pictures = Pictures(objects)
        self._seen: dict[ImageSet, Changed] = {}

    def changed(self, images: ImageSet) -> Changed:
        """Look at the files of a set; what cannot be looked at for want of an extra counts as it was."""
        if images not in self._seen:
            self._seen[images] = Changed(images, self._look(images), partial(self._look_at_masks, images))
        return self._seen[images]

    def _look(self, images: ImageSet) -> dict[int, Change]:
        columns = images.entries.select(["path", "digest", "size", "modified"]).to_pydict()
        found: dict[int, Change] = {}
        for place, (path, sha256, *stamp) in enumerate(zip(*columns.values(), strict=True)):
            if path.startswith((DEMO, KEPT)):
                continue
            if change := self._change(path, sha256, tuple(stamp)):
                found[place] = change
        return found

    def _look_at_masks(self, images: ImageSet) -> dict[int, Change]:
        """Read the masks that there are: they are small, and few sets have some."""
        found: dict[int, Change] = {}
        for place, mask in enumerate(images.masks):
            if mask is not None and (change := self._change(*mask, None)):
                found[place] = change
        return found

    def _change(self, path: str, sha256: str, stamp: tuple[int, int] | None) -> Change | None:
        try:
            if sha256 == GONE:
                return "back" if self._pictures.exists(path) else None
            if self._stamp(path) == stamp:
                return None
            return None if digest.of_bytes(self._pictures.read(path)) == sha256 else "changed"
        except MissingExtra:
            return None
        except OSError:
            return "gone"

    def _stamp(self, path: str) -> tuple[int, int] | None:
        if path.startswith(DATASET):
            return self._pictures.stamp(path)
        stat = os.stat(path)  # a Path for each of many files would take longer than the look
        return stat.st_size, stat.st_mtime_ns

    def touched(self, units: Sequence[Unit]) -> tuple[list[Unit], list[str]]:
        """List which of a view's units were made from files that changed since, and say what changed."""
        found: dict[int, Unit] = {}
        causes: list[str] = []
        for images in _beneath(units[0]) if units else ():
            changed = self.changed(images)
            looks: list[tuple[dict[int, Change], Callable[[], list[str]], bool]] = [
                (changed.places, changed.causes, False)
            ]
            if any(reads_masks(view) for view in _views(units[0])):
                looks.append((changed.masks, changed.causes_of_masks, True))
            for places, say, by_masks in looks:
                if places:
                    reach = _Reach(images, sorted(places), by_masks=by_masks)
                    mine = {unit.index: unit for unit in units if reach.has(unit)}
                    found |= mine
                    causes += say() if mine else []
        return [unit for unit in units if unit.index in found], causes


def _beneath(unit: Unit) -> list[ImageSet]:
    """List the image sets beneath a unit: one, or several where a statement reads several."""
    sources = {id(each): each for view in _views(unit) for each in view.sources()}
    return [each for each in sources.values() if isinstance(each, ImageSet)]


def _views(unit: Unit) -> list[View]:
    return [unit.view, *(need.view for need in unit.needs)]


def reads_masks(view: View) -> bool:
    """Tell whether a view, or one that it is made from, reads masks."""
    return view.by_masks or any(
        isinstance(each, View) and reads_masks(each) for each in view.inputs().values()
    )


class _Reach:
    """Finds the units that some places of an image set beneath them reach, or their masks alone."""

    def __init__(self, images: ImageSet, places: Sequence[int], *, by_masks: bool) -> None:
        self._images, self._places, self._by_masks = images, places, by_masks
        self._known: dict[tuple[str, int], bool] = {}

    def has(self, unit: Unit) -> bool:
        """Tell whether a unit, or one that it is made from, covers such a place."""
        place = (unit.key, unit.start)  # pictures that are there twice may make two units of one key
        if place not in self._known:
            self._known[place] = self._covers(unit) or any(self.has(need) for need in unit.needs)
        return self._known[place]

    def _covers(self, unit: Unit) -> bool:
        view = unit.view
        if self._by_masks and not view.by_masks:
            return False
        if not any(each is self._images for each in view.inputs().values()):
            return False
        first = bisect_left(self._places, unit.start)
        return view.axis != "image" or (first < len(self._places) and self._places[first] < unit.stop)
