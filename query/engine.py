"""What every question shares: one open store, its reader, its models, and the way to fill it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import replace
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

from ..compute.heads.head_sets import HeadSet
from ..compute.kinds import Assisted
from ..compute.models.residents import Residents
from ..compute.running.gather import Elsewhere
from ..compute.running.report import Progress, Report, Settings
from ..compute.running.runner import Runner
from ..compute.running.steps import Step
from ..compute.work import Known, Work
from ..store.errors import BadSelection, CannotRun, DamagedUnit, MissingUnits, UnitFailed
from ..store.folder import Folder
from ..store.marker import Mode
from ..store.reader import Reader
from ..store.records import folder_of
from ..store.views import Source, Unit, View
from .completeness import Refused
from .plan import Plan, plan

if TYPE_CHECKING:
    import pyarrow as pa

    from ..compute.language.asking import Asker
    from ..compute.language.prices import Price
    from ..store.sets import Language, TowerShape
    from .sql.imported_methods import ImportedMethods
    from .sql.pruning import Pruner

ROUNDS = 4
"""How often what was found damaged is computed again before it is given up."""
LOOKED_AT = 16
"""At most so many records are read for one that says how long something takes."""
VIEWS = 256
"""So many views of a store are remembered, so that the digests of their units are made once."""

Combinations = tuple[tuple[Source, ...], list[View], list[Refused]]
"""What combinations of inputs are of, the views that they make, and those that there cannot be."""
T = TypeVar("T")
V = TypeVar("V", bound=View)


class Engine:
    """Plans and fills; asks disk which units are done, once per recipe and question."""

    def __init__(self, root: Path, mode: Mode, *, memory: bool = False) -> None:
        self.folder = Folder(root, mode, memory=memory)
        self.reader = Reader(self.folder)
        self.residents = Residents()
        self._same = lru_cache(VIEWS)(lambda view: view)
        self.instances: dict[tuple[type[View], str], Combinations] = {}
        """The combinations of a view's inputs, by what was given of them."""
        self.places: dict[tuple[str, TowerShape], View] = {}
        """The heads of towers that conditions on layer and head alone choose."""

    @cached_property
    def imported(self) -> ImportedMethods:
        """What reads the labels that imports give neurons."""
        from .sql.imported_methods import ImportedMethods

        return ImportedMethods(self.folder)

    @cached_property
    def pruner(self) -> Pruner:
        """What finds the units that a filter leaves; pyarrow's part for it takes a second to import."""
        from .sql.pruning import Pruner

        return Pruner()

    def same(self, view: V) -> V:
        """Give the view of these fields that was asked for before, if any, with what it knows of its units.

        Models, image sets and text sets are the same where they are one object, as they are while the names
        of the registry do not change.
        """
        found: V = self._same(view)
        return found

    def done(self, view: View) -> set[str]:
        """List the keys of a view's recipe that are done."""
        return self.folder.records.done(view)

    def readable(self, view: View) -> Collection[str]:
        """List the keys of a view's units that can be read: none while what they are combined with lacks."""
        beside = [(self.done(each), each.units) for each in view.companions()]
        whole = all(unit.key in done for done, units in beside for unit in units)
        return self.done(view) if whole else ()

    def plan_in_turn(self, parts: Iterable[Sequence[Unit]]) -> Plan:
        """Find what has to be computed where some units are filled after others, as a statement's tables are.

        Those of one part share forward passes, and units that an earlier one makes are there for the next.
        """
        asked = [units for units in parts if units]
        every = {unit.key: unit for units in asked for unit in units}
        whole = self.plan(every.values())
        if len(asked) < 2:
            return whole
        steps: tuple[Step, ...] = ()
        for units in asked:
            made = {unit.key for step in steps for unit in step.units}
            steps += self.plan(units, made).steps
        return replace(whole, steps=steps, times=self._times(steps))

    def plan(self, units: Iterable[Unit], made: Set[str] = frozenset()) -> Plan:
        """Find what has to be computed for these units, and for what a read of them combines them with.

        `made` are keys of units that will be there by then.
        """
        seen: dict[str, set[str]] = {}

        def done(view: View) -> set[str]:
            if view.recipe_key not in seen:
                seen[view.recipe_key] = self.done(view) | made
            return seen[view.recipe_key]

        asked = list(units)
        companions = {unit.key: unit for unit in _companions(asked)}
        whole = plan([*companions.values(), *asked], done, Elsewhere(self.folder, done).rows)
        reused = sum(unit.key in whole.ready for unit in asked)
        return replace(whole, wanted=len(asked), reused=reused, times=self._times(whole.steps))

    def told(self, found: Plan, prices: Mapping[str, Price]) -> Plan:
        """Add to a plan what its views that are made with models and instruments would take."""
        units: dict[tuple[str, str], list[Unit]] = {}
        for step in found.steps:
            if isinstance(step.view, Assisted):
                units.setdefault((step.view.name(), step.view.recipe_key), []).extend(step.units)
        if not units:
            return found
        known = Known(self.folder.memos, partial(self._rows, found.ready), partial(self._asker, prices))
        work: dict[str, Work] = {}
        for (name, _), each in units.items():
            mine = cast("Assisted", each[0].view).forecast(each, known)
            work[name] = work[name] + mine if name in work else mine
        return replace(found, work=work)

    def _rows(self, ready: Collection[str], unit: Unit) -> pa.Table | None:
        """Read a unit's rows where it is done; one that is found damaged now is not."""
        if unit.key not in ready and unit.key not in self.done(unit.view):
            return None
        try:
            return self.reader.rows(unit)
        except (DamagedUnit, MissingUnits):
            return None

    def _asker(self, prices: Mapping[str, Price], language: Language) -> Asker:
        """Give a language model to be told of, and not to be asked."""
        from ..compute.instruments import sources as instruments
        from ..compute.language.asking import Asker
        from ..compute.language.budget import Budget, Limits, price

        model = instruments.find(type(language), language.source)
        return Asker(model, budget=Budget(Limits(), price(model, prices)), identity=language.facts)

    def _refuse_without_price(self, found: Plan, settings: Settings) -> None:
        """Raise `BadSource` where a table of prices lacks a language model that would be asked."""
        from ..compute.instruments import sources as instruments
        from ..compute.language.budget import price
        from ..compute.neurons.summarised import Summarised

        prices = settings.allowance.known() if settings.allowance else {}
        asked = [step.view for step in found.steps if isinstance(step.view, Summarised) and prices]
        for language in {each.language.key: each.language for each in asked if each.summarises}.values():
            price(instruments.find(type(language), language.source), prices)

    def fill(
        self, units: Sequence[Unit], settings: Settings | None = None, progress: Progress | None = None
    ) -> Report:
        """Compute what is missing of these units; `MissingUnits` where the store is open to read only.

        `CannotRun` where some of them were imported, and nothing is computed then.
        What turns out damaged on the way is computed again; `DamagedUnit` where that keeps happening.
        """
        found = self.plan(units)
        total = Report(reused=found.reused)
        for left in reversed(range(ROUNDS)):
            if not found.steps:  # what failed or was skipped before, another process made meanwhile
                total = total.forgiven()
                break
            if found.lost:
                raise CannotRun(found.lost)
            self._refuse_if_read_only(found, units)
            self._refuse_without_price(found, settings or Settings())
            runner = Runner(
                self.folder, self.reader, self.residents, settings or Settings(), progress or Progress()
            )
            total = total.forgiven() + runner.run(found.steps, found.ready)
            if runner.broken is None:
                break
            if not left:
                raise runner.broken
            found = self.plan(units)
        if self.folder.writable and total.complete:
            for view in {id(unit.view): unit.view for unit in units}.values():
                self.folder.records.describe(view)
        return total

    def _refuse_if_read_only(self, found: Plan, units: Sequence[Unit]) -> None:
        if not self.folder.writable:
            hint = (
                'this store was opened with mode="r"; open it with mode="a" to fill it, '
                "or with memory=True to compute in memory"
            )
            lacking = found.wanted - found.reused
            raise MissingUnits(units[0].view.title(), lacking or found.units, found.wanted, hint)

    def ensure(self, units: Sequence[Unit], progress: Progress | None = None) -> None:
        """Fill these units; `UnitFailed` with the reason where one cannot be made.

        `BadSelection` where that is a condition on heads, which chooses none.
        """
        if self.fill(units, progress=progress).complete:
            return
        for step in self.plan(units).steps:
            for unit in step.units:
                if reason := self.folder.failures.whole(unit):
                    if isinstance(unit.view, HeadSet):
                        raise BadSelection(reason.message)
                    raise UnitFailed(str(unit), reason.message)
        raise UnitFailed(units[0].view.title(), "something beneath it failed")

    def kept(self, units: Sequence[Unit], read: Callable[[], T]) -> T:
        """Read once units are there; what turns out damaged, or goes away meanwhile, is filled again."""
        for _ in range(ROUNDS):
            self.ensure(units)
            try:
                return read()
            except (DamagedUnit, MissingUnits) as error:
                if not self.folder.writable:
                    raise
                trouble = error
        raise trouble

    def _times(self, steps: Sequence[Step]) -> tuple[float | None, ...]:
        """Estimate how long each step takes from what finished units of its recipe took, by image or unit."""
        rates: dict[str, float | None] = {}
        times: list[float | None] = []
        for step in steps:
            view = step.view
            if step.copied and not step.images:
                times.append(0.0)  # copying takes next to nothing
                continue
            if view.recipe_key not in rates:
                rates[view.recipe_key] = self._rate(view, by_image=bool(step.images))
            rate = rates[view.recipe_key]
            times.append(None if rate is None else rate * step.weight)
        return tuple(times)

    def _rate(self, view: View, *, by_image: bool) -> float | None:
        """Give the seconds that an image, or a unit, took in a finished unit; None where there is none."""
        for key in sorted(self.done(view))[:LOOKED_AT]:
            with suppress(DamagedUnit, FileNotFoundError):
                record = self.folder.records.read(f"{folder_of(view)}{key}.json")
                covers, copied = record.covers, sum(record.facts.get("copied_from", {}).values())
                computed = covers["stop"] - covers["start"] - copied
                if computed:
                    return float(record.made["seconds"]) / (computed if by_image else 1)
        return None


def _companions(units: Iterable[Unit]) -> list[Unit]:
    views = {id(unit.view): unit.view for unit in units}
    return [unit for view in views.values() for each in view.companions() for unit in each.units]
