"""What is made together: units that share a forward pass, or one unit on its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ..store.sets import Model
from ..store.views import Unit, View
from .gather import Row
from .kinds import Assisted, ImagePass, OfWeights, TextModulePass, TextRows, TextTowerPass

Kept = Mapping[int, Row]
"""Rows that other units have, by their number from a unit's first."""


@dataclass(frozen=True, slots=True)
class Step:
    """Units that are made in one go."""

    units: tuple[Unit, ...]
    """The units; those of a pass over images, or over texts, cover the same of them with the same model."""
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
    def run(self) -> tuple[int, ...]:
        """The rows, counted from the units' first, whose images go through the model."""
        if not isinstance(self.view, ImagePass):
            return ()
        length = self.units[0].stop - self.units[0].start
        kept = [self.kept.get(unit.key, {}) for unit in self.units]
        if not all(kept):
            return tuple(range(length))
        return tuple(row for row in range(length) if any(row not in rows for rows in kept))

    def copies(self, unit: Unit) -> Kept:
        """Give the rows of one of the units that are copied: kept elsewhere, and run for no other unit."""
        run = set(self.run)
        return {row: at for row, at in self.kept.get(unit.key, {}).items() if row not in run}

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

    A unit of which all rows are kept elsewhere needs no pass, and stands alone, too.
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
                key = (_side(view), view.contents(unit.start, unit.stop))
        elif isinstance(view, TextTowerPass | TextModulePass):
            taken_apart = isinstance(view, TextTowerPass)
            key = (_side(view), view.contents(unit.start, unit.stop), taken_apart)
        elif isinstance(view, Assisted):
            key = (view.recipe_key, unit.index // view.together)
        groups.setdefault(key, []).append(unit)
    steps = [
        Step(tuple(group), {unit.key: copies[unit.key] for unit in group if unit.key in copies})
        for group in groups.values()
    ]
    if any(isinstance(step.view, Assisted) for step in steps):
        steps.sort(key=lambda step: _depth(step.view))  # stage by stage: each large model is loaded once
    return steps


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
