"""What would have to be computed, and in which order."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import cast

from ..compute.kinds import ImagePass
from ..compute.steps import Kept, Step, together
from ..store.arrays import predicted_bytes
from ..store.grid import Grid
from ..store.views import ArrayView, Unit, View


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps that make what is missing, each after what it is made from."""

    steps: tuple[Step, ...]
    """What would run."""
    wanted: int
    """Units asked for."""
    ready: frozenset[str]
    """Keys of the units, asked for or beneath those, that are there and would be used."""
    reused: int
    """Units asked for that are there."""
    seconds: float | None = None
    """How long it may take, from what such units took before; None where nothing like it was made yet."""

    @property
    def units(self) -> int:
        """How many units would be computed, those beneath included."""
        return sum(len(step.units) for step in self.steps)

    @property
    def passes(self) -> int:
        """How many blocks of images would go through a model."""
        return sum(1 for step in self.steps if step.images)

    @property
    def images(self) -> int:
        """How many images would go through a model."""
        return sum(step.images for step in self.steps)

    @property
    def copied(self) -> int:
        """How many images' rows would be copied from what is kept of other sets."""
        return sum(step.copied for step in self.steps)

    @property
    def lost(self) -> str | None:
        """Say which units would have to be imported, since nothing here can compute them; None if none."""
        units = [unit for step in self.steps if step.model and step.model.imported for unit in step.units]
        return _lost(units) if units else None

    @property
    def bytes(self) -> int:
        """How many bytes the arrays would take; tables, which are small, are not counted."""
        return sum(predicted(unit) for step in self.steps for unit in step.units)

    def by_view(self) -> dict[str, int]:
        """Count the units of each view that would be computed."""
        counts: dict[str, int] = {}
        for step in self.steps:
            for unit in step.units:
                counts[unit.view.name()] = counts.get(unit.view.name(), 0) + 1
        return counts

    def _repr_html_(self) -> str:
        from .html import of_plan

        return of_plan(self)

    def __str__(self) -> str:
        if not self.steps:
            return f"nothing to compute: all {self.wanted} units are ready"
        lines = [f"{self.reused} of {self.wanted} units are ready; to compute:"]
        lines += [f"  {count:>6} units of {view}" for view, count in self.by_view().items()]
        if self.images and not self.lost:
            lines.append(f"  {self.images:,} images through the model, in {self.passes} blocks")
        if self.copied:
            lines.append(f"  {self.copied:,} rows copied from what is kept of other image sets")
        if self.lost:
            return "\n".join([*lines, self.lost])
        lines.append(f"  {self.bytes / 1e6:,.1f} MB of arrays")
        if self.seconds is not None:
            lines.append(f"  about {self.seconds:,.0f} s, going by what such units took before")
        return "\n".join(lines)


def plan(
    wanted: Iterable[Unit],
    done: Callable[[View], Collection[str]],
    kept: Callable[[Unit], Kept] = lambda unit: {},
) -> Plan:
    """Find what has to be computed for these units. Pure, given what is done and kept.

    A unit that is done ends the search, so that it stays ready when what it was made from is gone.
    `done(view)` gives the keys of the view's recipe that are done, `kept(unit)` the rows of a unit that
    others have.
    """
    asked = list(wanted)
    missing: dict[str, Unit] = {}
    ready: set[str] = set()

    def visit(unit: Unit) -> None:
        if unit.key in missing or unit.key in ready:
            return
        if unit.key in done(unit.view):
            ready.add(unit.key)
            return
        for need in unit.needs:
            visit(need)
        missing[unit.key] = unit

    for unit in asked:
        visit(unit)
    reused = sum(unit.key in ready for unit in asked)
    return Plan(tuple(together(missing.values(), kept)), len(asked), frozenset(ready), reused)


def _lost(units: Sequence[Unit]) -> str:
    """Say what is lost of the first view that these are of, and what to import."""
    view = cast("ImagePass", units[0].view)
    file, images = view.model.source.removeprefix("import:"), view.images
    count = sum(unit.view is view for unit in units)
    lacking = f"{count} of {len(view.units)} units of {view.title()} are not there"
    command = f"belvedere import arrays {view.model.name} FILE --images {images.name}"
    if (view.model.imported or {}).get("images") == images.all_contents:
        return f"{lacking} and cannot be computed: they were imported; import {file} again ({command})"
    return (
        f"{lacking} and cannot be computed: they were imported from {file}, which is of other images; "
        f"import a file with a row for each of the {len(images):,} images of {images.name!r} "
        f"({command} --replace)"
    )


def predicted(unit: Unit) -> int:
    """Predict the bytes of an array unit's chunks; 0 for a table's."""
    view = unit.view
    if not isinstance(view, ArrayView):
        return 0
    total = 0
    for member in view.members():
        start, stop = Grid(member.shape[0], view.shard).span(unit.index)
        total += predicted_bytes(member, stop - start, view.shard)
    return total
