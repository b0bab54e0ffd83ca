"""What is made together: units that share a forward pass, or one unit on its own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..store.sets import Model
from ..store.views import Unit, View
from .kinds import ImagePass, OfTower, TextPass


@dataclass(frozen=True, slots=True)
class Step:
    """Units that are made in one go."""

    units: tuple[Unit, ...]
    """The units; those of a pass over images cover the same images with the same model."""

    @property
    def view(self) -> View:
        """A view that stands for all: the units' views are of one kind."""
        return self.units[0].view

    @property
    def model(self) -> Model | None:
        """The model that has to be in memory, where one has."""
        view = self.view
        return view.model if isinstance(view, ImagePass | TextPass | OfTower) else None

    @property
    def images(self) -> int:
        """How many images go through the model."""
        return self.units[0].stop - self.units[0].start if isinstance(self.view, ImagePass) else 0

    @property
    def weight(self) -> int:
        """How much work it is, for a progress bar: images, or 1."""
        return max(1, self.images)


def together(units: Iterable[Unit]) -> list[Step]:
    """Join units of passes over the same images with the same model; others stand alone. Pure."""
    groups: dict[object, list[Unit]] = {}
    for unit in units:
        view = unit.view
        if isinstance(view, ImagePass):
            side = repr(sorted(view.model.identity("image").items(), key=lambda item: item[0]))
            key: object = (side, view.contents(unit.start, unit.stop))
        else:
            key = unit.key
        groups.setdefault(key, []).append(unit)
    return [Step(tuple(group)) for group in groups.values()]
