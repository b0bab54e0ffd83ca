"""Fills many views, round after round, until nothing of them is missing: a worker."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ...compute.running.report import Progress, Report, Settings
from ...compute.running.runner import WAIT
from ...store.errors import (
    BadSource,
    CannotRun,
    DamagedUnit,
    MissingExtra,
    MissingUnits,
    NamingError,
    ReadOnlyStore,
    WeightsChanged,
)
from ...store.views import Unit
from .. import question
from ..engine import Engine
from ..sql.other_parameters import Lost

if TYPE_CHECKING:
    from ..lazy.view import Lazy
    from ..store import Store

REFUSED = (CannotRun, WeightsChanged, BadSource, MissingExtra, DamagedUnit, MissingUnits)
"""Errors that concern a view as a whole; a worker says so, and goes on with the others."""


@dataclass(frozen=True, slots=True)
class Worked:
    """What a worker did."""

    report: Report
    """What became of the units; failed and skipped are those of its last round."""
    refused: tuple[str, ...]
    """Views that could not be filled, each with the reason."""
    ended: bool
    """Whether it was ended, by its time or by a word, before it found nothing left to do."""

    @property
    def complete(self) -> bool:
        """Whether all that it tried is there now."""
        return self.report.complete and not self.refused


class Ended(KeyboardInterrupt):
    """A worker was told to end; raised between two batches, and goes through a fill as an interrupt does."""


class Limit:
    """When a worker is to end."""

    def __init__(self, seconds: float | None, stop: Callable[[], bool]) -> None:
        if seconds is not None and seconds < 0:
            raise BadSource(f"max_seconds={seconds}: it starts at 0")
        self._until = None if seconds is None else time.monotonic() + seconds
        self._stop = stop

    def check(self) -> None:
        """Raise `Ended` where it is time to."""
        if self._stop() or (self._until is not None and time.monotonic() >= self._until):
            raise Ended

    def sleep(self, seconds: float) -> None:
        """Wait, unless it is time to end before."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.check()
            time.sleep(min(WAIT, max(0.0, until - time.monotonic())))


class Bounded(Progress):
    """Tells another one how a run goes on, and ends the run between two batches once it is time to."""

    def __init__(self, told: Progress, limit: Limit) -> None:
        self._told, self._limit = told, limit
        self.filled = 0

    def begin(self, total: int, what: str) -> None:
        """Pass it on."""
        self._told.begin(total, what)

    def advance(self, count: int) -> None:
        """Pass it on."""
        self._told.advance(count)
        self._limit.check()

    def kept(self) -> None:
        """Count it, and pass it on."""
        self.filled += 1
        self._told.kept()

    def wait(self) -> None:
        """Pass it on."""
        self._told.wait()
        self._limit.check()

    def end(self) -> None:
        """Pass it on."""
        self._told.end()


def work(
    store: Store,
    views: Sequence[Lazy[Any]],
    settings: Settings,
    progress: Progress,
    limit: Limit,
    poll: float | None,
) -> Worked:
    """Fill views until nothing more can be done; see `Store.work`."""
    if poll is not None and poll <= 0:
        raise BadSource(f"poll={poll}: it is a number of seconds above 0")
    if not store._engine.folder.writable:
        raise ReadOnlyStore('this store was opened with mode="r"; open it with mode="a" to fill it')
    worker = _Worker(store._engine, settings, Bounded(progress, limit))
    try:
        while True:
            limit.check()
            if worker.round(_units(store, views)):
                continue
            if poll is None:
                return worker.worked(ended=False)
            limit.sleep(poll)
    except Ended:
        return worker.worked(ended=True)


def _units(store: Store, views: Sequence[Lazy[Any]]) -> list[Unit]:
    """List what is to be filled: units of these views as their names stand by now, or all that were begun."""
    if not views:
        return [unit for _, view in store._filled() if not isinstance(view, Lost) for unit in view.units]
    found: list[Unit] = []
    for lazy in views:
        view = lazy._view
        with suppress(NamingError):  # a name that stands for nothing any more: as it stood
            if len(lazy._units()) == len(view.units):
                view = store.view(view.name(), **question.inputs(view), **question.parameters(view))._view
        found += lazy._units() if view is lazy._view else view.units
    return found


class _Worker:
    """The rounds of one worker."""

    def __init__(self, engine: Engine, settings: Settings, progress: Bounded) -> None:
        self._engine, self._settings, self._progress = engine, settings, progress
        self._report = Report()
        self._refused: dict[str, str] = {}
        self._before: Hashable = None

    def worked(self, *, ended: bool) -> Worked:
        """Say what was done."""
        refused = tuple(f"{view}: {reason}" for view, reason in self._refused.items())
        return Worked(replace(self._report, filled=self._progress.filled), refused, ended)

    def round(self, units: Sequence[Unit]) -> bool:
        """Fill what is missing of some units; False where that is nothing, or no more than it was before."""
        left = self._left(units)
        if not left:
            self._report, self._before = self._report.forgiven(), None
            self._refused.clear()
        if not left or self._state(left) == self._before:
            return False
        self._report = self._report.forgiven()
        self._refused.clear()
        try:
            self._fill(left)
        except REFUSED:
            self._one_by_one(left)
        self._settings = replace(self._settings, retry_failed=False)
        given_up = self._refused or not self._report.complete  # else what is left has gone since
        self._before = self._state(self._left(units)) if given_up else None
        return True

    def _left(self, units: Sequence[Unit]) -> list[Unit]:
        views = {id(unit.view): unit.view for unit in units}
        done = {key: self._engine.done(view) for key, view in views.items()}
        return [unit for unit in units if unit.key not in done[id(unit.view)]]

    def _state(self, left: Sequence[Unit]) -> Hashable:
        """Give what a further round would go by: what is missing, and what is known to have failed."""
        failures = self._engine.folder.objects.list("failures/")
        keys = frozenset(unit.key for unit in left)
        return keys, frozenset((info.path, info.modified) for info in failures)

    def _one_by_one(self, left: Sequence[Unit]) -> None:
        """Fill each view on its own, so that those that can be filled are."""
        self._report = self._report.forgiven()
        for view in {id(unit.view): unit.view for unit in left}.values():
            try:
                self._fill([unit for unit in left if unit.view is view])
            except REFUSED as error:
                self._refused[view.title()] = str(error)

    def _fill(self, units: Sequence[Unit]) -> None:
        self._report += self._engine.fill(units, self._settings, self._progress)
