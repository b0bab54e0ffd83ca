"""What is made together: units that share a forward pass, or one unit on its own."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from math import prod
from typing import cast

import numpy as np

from ...store.sets import Model
from ...store.views import Unit, View
from ..kinds import BLOCK, Assisted, ImagePass, OfWeights, TextModulePass, TextRows, TextTowerPass
from .gather import Row

AT_ONCE = 2**28
"""So many bytes are taken of a batch where views keep much of each image; or more, where a block has more."""
Kept = Mapping[int, Row]
"""Rows that other units have, by their number from a unit's first."""


@dataclass(frozen=True, slots=True)
class Step:
    """Units that are made in one go."""

    units: tuple[Unit, ...]
    """The units; those of a pass over images are of the same model and of one list of images, those of a pass
    over texts cover the same of them."""
    kept: Mapping[str, Kept] = field(default_factory=dict)
    """By a unit's key, the rows that are copied from what is kept."""

    @property
    def view(self) -> View:
        """A view that stands for all: the units' views are of one kind."""
        return self.units[0].view

    @property
    def model(self) -> Model | None:
        """The model that has to be in memory, where one has."""
        view = self.view
        if isinstance(view, ImagePass):
            return view.model if self.run else None
        return view.model if isinstance(view, TextRows | OfWeights) else None

    @property
    def start(self) -> int:
        """The first image or text of any of its units."""
        return min(unit.start for unit in self.units)

    @property
    def run(self) -> tuple[int, ...]:
        """The rows, counted from `start`, whose images go through the model."""
        if not isinstance(self.view, ImagePass):
            return ()
        first = self.start
        spans = {(unit.start - first, unit.stop - first): unit for unit in self.units}
        if len(spans) == 1 and not all(self.kept.get(unit.key) for unit in self.units):
            return tuple(range(*next(iter(spans))))
        rows = set[int]()
        for unit in self.units:
            kept = self.kept.get(unit.key, {})
            rows.update(unit.start - first + row for row in range(unit.stop - unit.start) if row not in kept)
        return tuple(sorted(rows))

    def copies(self, unit: Unit) -> Kept:
        """Give the rows of one of the units that are copied: kept elsewhere, and run for no other unit."""
        kept = self.kept.get(unit.key)
        if not kept:
            return {}
        run, before = set(self.run), unit.start - self.start
        return {row: at for row, at in kept.items() if before + row not in run}

    @property
    def most(self) -> int:
        """How many images may go through at once: a block of the view that keeps most, or `AT_ONCE` bytes."""
        views = list({id(unit.view): cast("ImagePass", unit.view) for unit in self.units}.values())
        members = [member for view in views for member in view.members()]
        each = sum(prod(member.shape[1:]) * np.dtype(member.dtype).itemsize for member in members)
        return max(min(view.shard for view in views), AT_ONCE // max(each, 1))

    def apart(self) -> list[Step]:
        """Give the steps that can be made one by one: of each block of images, or each unit with its aids."""
        if isinstance(self.view, Assisted):
            return [self.only([unit]) for unit in self.units]
        spans: dict[tuple[int, int], list[Unit]] = {}
        for unit in self.units:
            spans.setdefault((unit.start, unit.stop), []).append(unit)
        return [self.only(same) for same in spans.values()]

    @property
    def images(self) -> int:
        """How many images go through the model."""
        return len(self.run)

    @property
    def copied(self) -> int:
        """How many rows are copied from what is kept."""
        return sum(len(self.copies(unit)) for unit in self.units)

    @property
    def weight(self) -> int:
        """How much work it is, for a progress bar: images, or units."""
        return self.images or len(self.units)

    def only(self, units: Iterable[Unit]) -> Step:
        """Give the same step for some of its units."""
        chosen = tuple(units)
        return Step(chosen, {unit.key: self.kept[unit.key] for unit in chosen if unit.key in self.kept})


def together(units: Iterable[Unit], kept: Callable[[Unit], Kept]) -> list[Step]:
    """Join units of passes over the same images or texts with the same model; others stand alone. Pure.

    Units of fewer images join one that covers these, too, 32 of 8 images one of 256, or else each other; but
    not one of which they are less than half, as all its images would be looked at as closely as theirs. A
    unit of which all rows are kept elsewhere needs no pass, and stands alone.
    """
    groups: dict[object, list[Unit]] = {}
    copies: dict[str, Kept] = {}
    for unit in units:
        view = unit.view
        key: object = unit.key
        if isinstance(view, ImagePass):
            rows = kept(unit)
            if rows:
                copies[unit.key] = rows
            if len(rows) < unit.stop - unit.start:
                key = (_side(view), view.images.all_contents, unit.start, unit.stop)
        elif isinstance(view, TextTowerPass | TextModulePass):
            taken_apart = isinstance(view, TextTowerPass)
            key = (_side(view), view.contents(unit.start, unit.stop), taken_apart)
        elif isinstance(view, Assisted):
            key = (view.recipe_key, unit.index // view.together)
        groups.setdefault(key, []).append(unit)
    steps = [
        Step(tuple(group), {unit.key: copies[unit.key] for unit in group if unit.key in copies})
        for group in _nested(groups)
    ]
    if any(isinstance(step.view, Assisted) for step in steps):
        steps.sort(key=lambda step: _depth(step.view))  # stage by stage: each large model is loaded once
    return steps


def _nested(groups: Mapping[object, list[Unit]]) -> list[list[Unit]]:
    """Put units of fewer images to those that cover these among others, or beside each other.

    Both where they have a pass; those beside each other are of the same `BLOCK` of images.
    """
    passes: dict[object, list[list[Unit]]] = {}
    for key, group in groups.items():
        if isinstance(group[0].view, ImagePass) and isinstance(key, tuple):
            passes.setdefault(key[:2], []).append(group)
    taken: set[int] = set()
    for alike in passes.values():
        longer: list[_Level] = []
        for _, same in groupby(sorted(alike, key=_block, reverse=True), key=_block):
            left: _Level = []
            guests: dict[int, tuple[list[Unit], _Level]] = {}
            for group in same:
                if (host := _host(group[0], longer)) is None:
                    left.append(group)
                else:
                    guests.setdefault(id(host), (host, []))[1].append(group)
            for host, mine in guests.values():
                if 2 * sum(map(_length, mine)) < _length(host):
                    left += mine
                else:
                    taken.update(_join(host, mine))
            longer.append(sorted(left, key=_start))
        for level in longer:
            for _, window in groupby(level, key=lambda group: group[0].start // BLOCK):
                first, *others = window
                taken.update(_join(first, others))
    return [group for group in groups.values() if id(group) not in taken]


def _join(group: list[Unit], others: Iterable[list[Unit]]) -> list[int]:
    """Put the units of other groups to those of one; gives the others' identities."""
    joined = list(others)
    group.extend(unit for each in joined for unit in each)
    return list(map(id, joined))


_Level = list[list[Unit]]
"""Groups of blocks of one length, by where they start."""


def _host(unit: Unit, longer: Iterable[_Level]) -> list[Unit] | None:
    """Find a group whose images are a unit's, and more: the longest."""
    for level in longer:
        place = bisect_right(level, unit.start, key=_start) - 1
        if place >= 0 and level[place][0].stop >= unit.stop:
            return level[place]
    return None


def _block(group: Sequence[Unit]) -> int:
    """Give the length of a group's blocks, which the last may fall short of."""
    return max(cast("ImagePass", unit.view).shard for unit in group)


def _length(group: Sequence[Unit]) -> int:
    return group[0].stop - group[0].start


def _start(group: Sequence[Unit]) -> int:
    return group[0].start


def _side(view: ImagePass | TextRows) -> str:
    """Write down what identifies the side of a model that images, or texts, go through."""
    return repr(sorted(view.model.identity(view.side).items(), key=lambda item: item[0]))


def _depth(view: View) -> int:
    """Count the views beneath a view, one above the other."""
    beneath = [each for each in view.inputs().values() if isinstance(each, View)]
    return 1 + max(map(_depth, beneath), default=0)


def described(steps: Sequence[Step]) -> str:
    """Say in a few words what a run makes."""
    names = dict.fromkeys(unit.view.name() for step in steps for unit in step.units)
    return ", ".join(names)
