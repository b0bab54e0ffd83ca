"""What would have to be computed, and in which order."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from ..compute.kinds import ImagePass
from ..compute.running.steps import Kept, Step, together
from ..compute.work import Work
from ..store.arrays import predicted_bytes
from ..store.grid import Grid
from ..store.views import ArrayView, Unit, View


@dataclass(frozen=True, slots=True)
class Cost:
    """What the units of one view would take."""

    units: int = 0
    """How many would be computed."""
    passes: int = 0
    """Blocks of images that would go through a model for them."""
    images: int = 0
    """The images in these."""
    bytes: int = 0
    """What the arrays would take; tables, which are small, are not counted."""
    seconds: float | None = 0.0
    """How long it may take; None where nothing like it was made yet."""

    def __add__(self, other: Cost) -> Cost:
        both = self.seconds, other.seconds
        seconds = None if None in both else sum(each for each in both if each is not None)
        return Cost(
            self.units + other.units,
            self.passes + other.passes,
            self.images + other.images,
            self.bytes + other.bytes,
            seconds,
        )


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
    work: Mapping[str, Work] = field(default_factory=dict)
    """What views that are made with models and instruments would take beside the sets' images, by name."""
    times: tuple[float | None, ...] = ()
    """Seconds that each step may take, from what such units took before; None where none was made yet."""

    @property
    def units(self) -> int:
        """How many units would be computed, those beneath included."""
        return sum(len(step.units) for step in self.steps)

    @property
    def seconds(self) -> float | None:
        """How long it may take; None where nothing like some of it was made yet."""
        return None if None in self.times else sum(each for each in self.times if each is not None)

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
        return {name: cost.units for name, cost in self.costs().items()}

    def costs(self) -> dict[str, Cost]:
        """Say what each view would take; a forward pass that several share is counted for the first."""
        found: dict[str, Cost] = {}
        times = self.times or (None,) * len(self.steps)
        for step, seconds in zip(self.steps, times, strict=True):
            for unit in step.units:
                first = unit is step.units[0]
                name = unit.view.name()
                mine = Cost(
                    units=1,
                    passes=int(first and step.images > 0),
                    images=step.images if first else 0,
                    bytes=predicted(unit),
                    seconds=seconds if first else 0.0,
                )
                found[name] = found[name] + mine if name in found else mine
        return found

    def _repr_html_(self) -> str:
        from .seeing.html import of_plan

        return of_plan(self)

    def __str__(self) -> str:
        if not self.steps:
            return f"nothing to compute: all {self.wanted} units are ready"
        lines = [f"{self.reused} of {self.wanted} units are ready; to compute:"]
        for view, count in self.by_view().items():
            more = str(self.work.get(view, ""))
            lines.append(f"  {count:>6} unit{'s' * (count != 1)} of {view}" + (f": {more}" if more else ""))
        if self.images and not self.lost:
            blocks = f"{self.passes} block{'s' * (self.passes != 1)}"
            lines.append(f"  {self.images:,} images through the model, in {blocks}")
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
