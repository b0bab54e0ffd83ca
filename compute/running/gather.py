"""Rows of a pass over images that are kept already, in units that cover the same images among others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Set
from contextlib import suppress
from dataclasses import replace
from typing import Any, NamedTuple, cast

import numpy as np

from ...store.errors import StoreError, UnknownName
from ...store.folder import Folder
from ...store.reader import Reader
from ...store.views import Array, Unit, View
from ..images.pictures import GONE
from ..kinds import ImagePass


class Row(NamedTuple):
    """One image's row in a unit that is kept."""

    unit: Unit
    """The unit; its view is of another set of images, as a rule."""
    image: int
    """The image's position in that set."""


class Elsewhere:
    """Looks for the images of missing units in what is kept of all registered sets.

    A row of a pass over images follows from its image alone, so a set that was chosen from others, or whose
    images come in another order, needs no pass of its own.
    """

    def __init__(self, folder: Folder, done: Callable[[View], Collection[str]]) -> None:
        """Take a store, and what tells the keys of a view's recipe that are done."""
        self._folder, self._done = folder, done
        self._known: dict[str, dict[str, Row]] = {}

    def rows(self, unit: Unit) -> dict[int, Row]:
        """Give the rows that are kept of a unit that is not, by their number from the unit's first."""
        view = unit.view
        if not isinstance(view, ImagePass) or not self._done(view):
            return {}
        key = f"{view.recipe_key} {view.images.all_contents}"
        if key not in self._known:
            self._known[key] = dict(self._index(view))
        known, images = self._known[key], view.images.identities[unit.start : unit.stop]
        return {row: known[image] for row, image in enumerate(images) if image in known}

    def _index(self, view: ImagePass) -> Iterator[tuple[str, Row]]:
        """List the images of a view's set that are kept under its recipe in other sets, by their digests."""
        wanted, done = set(view.images.identities) - {GONE}, self._done(view)
        for name in self._folder.names.image_sets():
            with suppress(StoreError, UnknownName):  # damaged, or removed meanwhile: no business of this set
                images = self._folder.names.image_set(name)
                if images.all_contents != view.images.all_contents:
                    yield from _shared(replace(cast("Any", view), images=images), wanted, done)


def _shared(other: ImagePass, wanted: Set[str], done: Collection[str]) -> Iterator[tuple[str, Row]]:
    """List the wanted images that a view has; of an import, whose rows go by place, those it has once."""
    images = other.images.identities
    counts = Counter(images) if other.model.imported else None
    for unit in other.units:
        if unit.key in done:
            for image in range(unit.start, unit.stop):
                if images[image] in wanted and (counts is None or counts[images[image]] == 1):
                    yield images[image], Row(unit, image)


def gather(
    rows: Mapping[int, Row], arrays: Mapping[str, Array], reader: Reader
) -> tuple[dict[int, str], dict[str, Any]]:
    """Copy rows that are kept into the arrays of a unit that is being made.

    Gives the rows of images that could not be read, with the reason, and what is known of the units that
    the others come from. Raises `MissingUnits` or `DamagedUnit` for what is gone since.
    """
    absent: dict[int, str] = {}
    counts: Counter[str] = Counter(row.unit.key for row in rows.values())
    errors: list[float] = []
    for units in _by_view(rows):
        view: Any = units[0][1].unit.view
        places = np.array([row for row, _ in units])
        images = np.array([source.image for _, source in units], dtype=np.intp)
        order = np.argsort(images, kind="stable")
        for name, whole in arrays.items():
            whole[places[order]] = reader.array(view, name, (images[order],))
        for unit in {source.unit.key: source.unit for _, source in units}.values():
            gone = reader.absent(unit)
            absent |= {row: gone[at.image - unit.start] for row, at in units if _is_gone(at, unit, gone)}
            errors += [error for error in [reader.facts(unit).get("relative_error")] if error is not None]
    measured = {"relative_error": max(errors)} if errors else {}
    return absent, {**measured, "copied_from": dict(counts)} if counts else {}


def _is_gone(row: Row, unit: Unit, gone: Mapping[int, str]) -> bool:
    return row.unit is unit and row.image - unit.start in gone


def _by_view(rows: Mapping[int, Row]) -> list[list[tuple[int, Row]]]:
    found: dict[int, list[tuple[int, Row]]] = {}
    for number, row in rows.items():
        found.setdefault(id(row.unit.view), []).append((number, row))
    return list(found.values())
