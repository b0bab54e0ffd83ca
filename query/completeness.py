"""How much of what a statement could touch was there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Touched:
    """Units of one view that a statement could touch."""

    needed: int
    """Units whose rows could matter."""
    ready: int
    """Those of them that were read."""
    inputs: tuple[str, ...] = ()
    """The combinations of inputs that lack units, as `model × image set × text set`."""
    filled: int = 0
    """Those of the ready ones that were computed just now."""

    @property
    def missing(self) -> int:
        """Units whose rows are lacking."""
        return self.needed - self.ready


class Refused(NamedTuple):
    """A combination of inputs that there cannot be."""

    names: Mapping[str, str]
    """The names that it is of, by column."""
    why: str
    """What is wrong with it."""


@dataclass(frozen=True, slots=True)
class Completeness:
    """For each view that a statement read, how many of the units it could touch were there."""

    views: Mapping[str, Touched]
    """By name of the view."""
    empty: tuple[str, ...] = ()
    """Views that were read, and of which no combination that the statement admits was ever filled."""
    unknown: tuple[str, ...] = ()
    """Views that were read, and of which the statement admits no combination of the names that there are."""
    unmet: tuple[str, ...] = ()
    """Lines that say what the statement asks for by name though nothing was filled with it."""
    wants: tuple[str, ...] = ()
    """What has to be added before some of these can be filled."""
    reasons: tuple[str, ...] = ()
    """Why units that the statement had computed could not be made."""

    @property
    def complete(self) -> bool:
        """Whether nothing was missing."""
        return not self.lacking and all(not each.missing for each in self.views.values())

    @property
    def lacking(self) -> str:
        """What the statement asks for that no unit stands for, so that `fill` cannot make it; else ""."""
        parts = [
            f"{name}: none of the combinations of inputs that the statement admits was filled; "
            "fill one, or name its inputs in the statement; what was filled with parameters that are not the "
            "defaults needs a name of its own (belvedere declare)"
            for name in self.empty
        ]
        parts += [
            f"{name}: no model, image set, text set, module or parameter that there is fits the statement's "
            "filter (belvedere show lists them)"
            for name in self.unknown
        ]
        return "; ".join([*parts, *self.unmet, *self.wants])

    def __str__(self) -> str:
        if self.complete:
            return "complete"
        parts = [
            f"{name} lacks {each.missing} of {each.needed} units ({'; '.join(each.inputs)})"
            for name, each in self.views.items()
            if each.missing
        ]
        return "; ".join([*parts, *filter(None, [self.lacking])])
