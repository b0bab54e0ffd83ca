"""A plain copy of a view, for other programs: what can be written, and what was."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...store.errors import AbsentRows, BadDestination, MissingUnits
from ...store.views import Unit, View
from ..question import parameters

if TYPE_CHECKING:
    from ...compute.running.report import Progress, Settings
    from ..lazy.view import Lazy


@dataclass(frozen=True, slots=True)
class Exported:
    """A copy that was written."""

    path: Path
    """Where it lies."""
    view: str
    """The view with its inputs."""
    form: str
    """Its format."""
    columns: tuple[str, ...]
    """Of an array the names of its axes, of a table those of its columns."""
    shape: tuple[int, ...]
    """Of an array the lengths of its axes, of a table how many rows it has."""
    dtype: str | None
    """The data type of an array; None for a table."""
    bytes: int
    """What it takes on disk."""
    absent: Mapping[int, str]
    """Rows without values, by image or text, with the reason: NaN, or null in Parquet."""


@dataclass(frozen=True, slots=True)
class Order:
    """How a copy is to be written."""

    dest: Path
    """Where to."""
    form: str
    """In which format."""
    missing: str
    """Whether to compute what is missing, "fill", or to refuse, "raise"."""
    overwrite: bool
    """Whether to take the place of what is there."""


def order(
    dest: str | os.PathLike[str], form: str | None, forms: Sequence[str], missing: str, *, overwrite: bool
) -> Order:
    """Read how to write: the format is that of the name's suffix unless one is given.

    Raises `BadDestination` for a format that does not hold such a view.
    """
    path = Path(dest).expanduser()
    chosen = form or path.suffix.removeprefix(".").lower()
    if chosen not in forms:
        listed = ", ".join(f".{each}" for each in forms)
        asked = f"the format {chosen!r}" if chosen else "no format"
        raise BadDestination(f"{path} asks for {asked}; this view can be written to {listed}")
    return Order(path, chosen, missing, overwrite)


def have(
    lazy: Lazy[Any], units: Sequence[Unit], missing: str, settings: Settings, progress: bool | Progress
) -> None:
    """Have the units ready: compute those that are missing, or raise `MissingUnits`."""
    if missing == "fill":
        if not lazy._fill(units, settings, progress).complete:
            lazy._engine.ensure(units)  # raises with the reason
        return
    found = lazy._engine.plan(units)
    if found.steps:
        lacking = found.wanted - found.reused or found.units
        hint = 'fill() computes them (belvedere fill), as does an export with missing="fill"'
        raise MissingUnits(lazy._view.title(), lacking, found.wanted, hint)


def refuse_absent(view: View, absent: Mapping[int, str]) -> None:
    """Raise `AbsentRows` where there are any, with what an export can do about it."""
    if absent:
        hint = 'leave it out (select, --select), or take missing="fill" (--missing fill), which writes NaN'
        raise AbsentRows(view.title(), view.axis, dict(absent), hint)


def facts_of(view: View) -> dict[str, Any]:
    """Say what a view is and was made from, in words that JSON has."""
    return {"view": view.name(), **view.pinned, "parameters": parameters(view), "recipe": view.recipe}
