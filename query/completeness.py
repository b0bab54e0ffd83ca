"""How much of what a statement could touch was there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Touched:
    """Units of one view that a statement could touch."""

    needed: int
    """Units whose rows could matter."""
    ready: int
    """Those of them that were read."""
    inputs: tuple[str, ...] = ()
    """The combinations of inputs that lack units, as `model × image set × text set`."""

    @property
    def missing(self) -> int:
        """Units whose rows are lacking."""
        return self.needed - self.ready


@dataclass(frozen=True, slots=True)
class Completeness:
    """For each view that a statement read, how many of the units it could touch were there."""

    views: Mapping[str, Touched]
    """By name of the view."""
    empty: tuple[str, ...] = ()
    """Views that were read, and of which no combination that the statement admits was ever filled."""

    @property
    def complete(self) -> bool:
        """Whether nothing was missing."""
        return not self.empty and all(not each.missing for each in self.views.values())

    def __str__(self) -> str:
        if self.complete:
            return "complete"
        parts = [
            f"{name} lacks {each.missing} of {each.needed} units ({'; '.join(each.inputs)})"
            for name, each in self.views.items()
            if each.missing
        ]
        parts += [
            f"{name}: none of the combinations of inputs that the statement admits was filled; "
            "fill one, or name its inputs in the statement"
            for name in self.empty
        ]
        return "; ".join(parts)
