"""What every question shares: one open store, its reader, its models, and the way to fill it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from ..compute.residents import Residents
from ..compute.runner import Progress, Report, Runner, Settings
from ..compute.steps import Step
from ..store.errors import MissingUnits, UnitFailed
from ..store.folder import Folder
from ..store.reader import Reader
from ..store.views import Unit, View
from .plan import Plan, plan


class Engine:
    """Plans and fills; asks disk which units are done, once per recipe and question."""

    def __init__(self, root: Path, mode: Literal["a", "r"]) -> None:
        self.folder = Folder(root, mode)
        self.reader = Reader(self.folder)
        self.residents = Residents()

    def done(self, view: View) -> set[str]:
        """List the keys of a view's recipe that are done."""
        return self.folder.records.done(view)

    def plan(self, units: Iterable[Unit]) -> Plan:
        """Find what has to be computed for these units, and for what a read of them combines them with."""
        seen: dict[str, set[str]] = {}

        def done(view: View) -> set[str]:
            if view.recipe_key not in seen:
                seen[view.recipe_key] = self.done(view)
            return seen[view.recipe_key]

        asked = list(units)
        companions = {unit.key: unit for unit in _companions(asked)}
        whole = plan([*companions.values(), *asked], done)
        reused = sum(unit.key in whole.ready for unit in asked)
        return replace(whole, wanted=len(asked), reused=reused, seconds=self._seconds(whole.steps))

    def fill(
        self, units: Sequence[Unit], settings: Settings | None = None, progress: Progress | None = None
    ) -> Report:
        """Compute what is missing of these units; `MissingUnits` where the store is open to read only."""
        found = self.plan(units)
        if not found.steps:
            return Report(reused=found.reused)
        if not self.folder.writable:
            title = units[0].view.title()
            hint = 'this store was opened with mode="r"; open it with mode="a" to fill it'
            raise MissingUnits(title, found.wanted - found.reused, found.wanted, hint)
        runner = Runner(
            self.folder, self.reader, self.residents, settings or Settings(), progress or Progress()
        )
        report = runner.run(found.steps, found.ready)
        return replace(report, reused=report.reused + found.reused)

    def ensure(self, units: Sequence[Unit]) -> None:
        """Fill these units; `UnitFailed` with the reason where one cannot be made."""
        if self.fill(units).complete:
            return
        for step in self.plan(units).steps:
            for unit in step.units:
                if reason := self.folder.failures.whole(unit):
                    raise UnitFailed(str(unit), reason.message)
        raise UnitFailed(units[0].view.title(), "something beneath it failed")

    def _seconds(self, steps: Sequence[Step]) -> float | None:
        """Estimate from what finished units of the same recipes took, by image or by unit."""
        total = 0.0
        for step in steps:
            view = step.view
            before = next(iter(sorted(self.done(view) & {unit.key for unit in view.units})), None)
            if before is None:
                return None
            unit = next(unit for unit in view.units if unit.key == before)
            took = float(self.folder.records.get(unit).made["seconds"])
            share = step.images / max(1, unit.stop - unit.start) if step.images else 1.0
            total += took * share
        return total


def _companions(units: Iterable[Unit]) -> list[Unit]:
    views = {id(unit.view): unit.view for unit in units}
    return [unit for view in views.values() for each in view.companions() for unit in each.units]
