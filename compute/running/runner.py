"""Makes what is missing: claims units, computes them, keeps them, and goes on past those that fail."""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext, suppress
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, cast

from ...store.claims import Claims
from ...store.errors import (
    BadKey,
    BadSource,
    BudgetSpent,
    CannotRun,
    DamagedUnit,
    MissingExtra,
    MissingUnits,
    NotRecorded,
    ProviderDown,
    RequestRejected,
    StoreError,
    StoreFull,
    WeightsChanged,
)
from ...store.failures import failure
from ...store.folder import Folder
from ...store.reader import Reader
from ...store.sealed import seal
from ...store.tracing import emit
from ...store.views import Unit
from ..kinds import Assisted, Derived, ImagePass, Made, OfWeights, TextRows, TowerPass
from ..models.residents import Residents
from .ahead import Ahead
from .behind import Behind
from .encoding import absences, encoded, libraries
from .report import Progress, Report, Settings
from .steps import Step, described

if TYPE_CHECKING:
    from ..images.pictures import Pictures
    from ..models.loaded import Loaded
    from .aids import Aids

ENDING = (
    *(StoreError, WeightsChanged, BadSource, CannotRun, MissingExtra),
    *(BadKey, BudgetSpent, NotRecorded, ProviderDown, RequestRejected),
)
"""Errors that end a run: what follows would meet them, too."""
PASSING = ("RequestFailed",)
"""Errors of units that the next run tries again unasked."""
WAIT = 0.2
"""Seconds between two looks at units that other processes are making."""

Facts = Mapping[str, Any]
Outcome = Literal["done", "waiting"]


class Runner:
    """One run over a list of steps."""

    def __init__(
        self,
        folder: Folder,
        reader: Reader,
        residents: Residents,
        settings: Settings,
        progress: Progress,
        make: Callable[[Step], Mapping[str, Made]] | None = None,
    ) -> None:
        """Make units as their views say; or, for what was computed elsewhere, as `make` gives them."""
        self._given = make
        self._folder, self._reader, self._residents = folder, reader, residents
        self._settings, self._progress = settings, progress
        self._claims: Claims = folder.claims()
        self._run = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
        self._counts = {"filled": 0, "reused": 0, "failed": 0, "skipped": 0, "absent": 0, "passing": 0}
        self._reasons: dict[str, None] = {}
        self._bad: set[str] = set()
        self._done: set[str] = set()
        self.broken: DamagedUnit | MissingUnits | None = None
        """Set where what units are made from turned out damaged or gone: plan again, and go on."""
        self._pool = ThreadPoolExecutor(settings.workers or os.cpu_count() or 1, "decode")
        self._pending: deque[Step] = deque()
        self._ahead = Ahead(self._pool, lambda: self._pending[0] if self._pending else None)
        self._behind: Behind[list[tuple[bool, int]]] = Behind()
        self._written: frozenset[str] = frozenset()
        self._again = False

    def run(self, steps: Sequence[Step], ready: Collection[str]) -> Report:
        """Make the units of these steps, each after what it is made from; `ready` are keys known as done."""
        with self._folder.presence.at_work("fill"):
            return self._run_all(steps, ready)

    def _run_all(self, steps: Sequence[Step], ready: Collection[str]) -> Report:
        self._done = set(ready)
        started = time.time()
        waiting = list(steps)
        self._progress.begin(sum(step.weight for step in steps), described(steps))
        try:
            while waiting:
                self._pending, tried = deque(waiting), len(waiting)
                waiting = []
                while self._pending:
                    step = self._pending.popleft()
                    if self._attempt(step) == "waiting":
                        waiting.append(step)
                if len(waiting) == tried and not self._behind.settle():
                    self._progress.wait()
                    time.sleep(WAIT)
            self._behind.settle()
        finally:
            with suppress(*ENDING):  # another error is on its way, or this one was told of
                self._behind.settle()
            self._behind.close()
            self._progress.end()
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._claims.release_all()
            self._note(started, len(steps))
        return Report(**self._counts, reasons=tuple(self._reasons))

    def _attempt(self, step: Step) -> Outcome:
        if not self._written.isdisjoint(unit.key for unit in step.units):
            self._behind.settle()
        left = [unit for unit in step.units if unit.key not in self._done and unit.key not in self._bad]
        needs = {need.key: need for unit in left for need in unit.needs if need.key not in self._done}
        if not self._written.isdisjoint(needs):
            self._behind.settle()
            needs = {key: need for key, need in needs.items() if key not in self._done}
        if any(key in self._bad for key in needs):
            return self._give_up("skipped", left, step.weight)
        if not all(self._is_done(need) for need in needs.values()):
            return "waiting"
        if not self._settings.retry_failed:
            failed = [unit for unit in left if self._failed_before(unit)]
            if failed:
                self._give_up("failed", failed, 0)
                left = [unit for unit in left if unit not in failed]
        with nullcontext() if isinstance(step.view, Derived) else self._residents.turn:
            mine = [unit for unit in left if self._win(unit)]
            others = [unit for unit in left if unit not in mine and not self._is_done(unit)]
            if mine:
                self._make(step.only(mine))
        if others:
            return "waiting"
        if not mine:
            self._progress.advance(step.weight)
        return "done"

    def _failed_before(self, unit: Unit) -> bool:
        """Tell whether a unit failed before, and not of what passes by itself, as a server's trouble."""
        found = self._folder.failures.whole(unit)
        if found is None or found.error in PASSING:
            return False
        self._reasons[found.message] = None
        return True

    def _win(self, unit: Unit) -> bool:
        """Claim a unit, and look again whether it is done once the claim is won."""
        if not self._claims.take(unit):
            return False
        if self._is_done(unit):
            self._claims.release(unit)
            return False
        return True

    def _is_done(self, unit: Unit) -> bool:
        """Look at disk for a unit of this run that another process may have made meanwhile."""
        if unit.key not in self._done and self._folder.records.is_done(unit):
            self._done.add(unit.key)
            self._counts["reused"] += 1
        return unit.key in self._done

    def _give_up(self, as_what: str, units: Sequence[Unit], weight: int) -> Outcome:
        self._bad.update(unit.key for unit in units)
        self._counts[as_what] += len(units)
        self._progress.advance(weight)
        return "done"

    def _make(self, step: Step) -> None:
        """Compute a step's units and keep them; record why where that cannot be done."""
        started = time.time()
        for unit in step.units:
            emit("compute", str(unit))
        try:
            if isinstance(step.view, ImagePass) and self._given is None:
                self._pass(step, started)
                return
            made = self._compute(step)
            for unit in step.units:
                found = made[unit.key]
                if isinstance(found, Exception):
                    self._fail(unit, found)
                else:
                    self._told(unit, self._write(unit, found, time.time() - started, self._where(unit)))
        except ENDING:
            raise
        except (DamagedUnit, MissingUnits) as error:
            self.broken = error
            self._bad.update(unit.key for unit in self._unmade(step))
        except (Exception, SystemExit) as error:  # whatever a model, a library or a plug-in raises
            left = self._unmade(step)
            apart = step.only(left).apart() if left else []
            if len(apart) > 1:  # one of them is to blame; the others are good
                self._again = isinstance(step.view, ImagePass)  # these images were counted
                for each in apart:
                    self._make(each)
                self._again = False
                return
            for unit in left:
                self._fail(unit, error)
        finally:
            for unit in step.units:
                if unit.key not in self._written:
                    self._claims.release(unit)

    def _unmade(self, step: Step) -> list[Unit]:
        """List the units of a step that are neither there, nor on their way to disk, nor given up."""
        settled = self._done | self._written | self._bad
        return [unit for unit in step.units if unit.key not in settled]

    def _pass(self, step: Step, started: float) -> None:
        """Run images through a model, and keep each unit as soon as it is whole."""
        from . import image_pass

        since, took = dict[str, float](), dict[str, float]()
        device = self._settings.runs_on()
        size = self._settings.at_once(device, step.model.tower if step.model is not None else None)
        where: dict[str, Any] = {"device": device, "batch_size": min(size, step.most)} if step.run else {}
        quick = where and self._settings.compiled and any(isinstance(u.view, TowerPass) for u in step.units)

        def keep(made: Mapping[str, Made]) -> None:
            now = time.time()
            more = {"compiled": self._loaded(step).compiled.same is True} if quick else {}
            wholes = step.only(unit for unit in step.units if unit.key in made).apart()
            for recipe, count in Counter(whole.view.recipe_key for whole in wholes).items():
                took[recipe] = (now - since.get(recipe, started)) / count
                since[recipe] = now
            for whole in wholes:
                self._keep_behind(whole, made, took[whole.view.recipe_key], where | more)

        image_pass.make(
            step,
            lambda: self._loaded(step),
            self._reader,
            self._pictures,
            batch_size=size,
            compiled=self._settings.compiled,
            ahead=self._ahead,
            tick=self._tick,
            keep=keep,
        )

    def _keep_behind(self, step: Step, made: Mapping[str, Made], seconds: float, where: Facts) -> None:
        """Keep a step's units while the next is computed; their claims are held until they are kept."""

        def write() -> list[tuple[bool, int]]:
            return [self._write(unit, made[unit.key], seconds, where) for unit in step.units]

        def tell(future: Future[list[tuple[bool, int]]]) -> None:
            self._written = frozenset()
            try:
                for unit, found in zip(step.units, future.result(), strict=True):
                    self._told(unit, found)
            except ENDING:
                raise
            except Exception as error:  # whatever encoding raises
                for unit in step.units:
                    if not self._folder.records.is_done(unit):
                        self._fail(unit, error)
            finally:
                for unit in step.units:
                    self._claims.release(unit)

        self._behind.put(write, tell)
        self._written = frozenset(unit.key for unit in step.units)

    def _fail(self, unit: Unit, error: BaseException) -> None:
        """Record why a unit cannot be made."""
        found = failure(unit, type(error).__name__, str(error))
        self._folder.failures.put(unit, [found])
        self._reasons[found.message] = None
        self._counts["passing"] += found.error in PASSING
        self._give_up("failed", [unit], 0)

    def _compute(self, step: Step) -> Mapping[str, Made | Exception]:
        view, unit = step.view, step.units[0]
        if self._given is not None:
            given = self._given(step)
            self._tick(step.weight)
            return given
        if isinstance(view, Derived):
            made = view.derive(unit, self._reader)
            self._tick(step.weight)
            return {unit.key: made}
        if isinstance(view, Assisted):
            helped = view.assist(step.units, self._reader, self._aids)
            self._tick(step.weight)
            return helped
        if isinstance(view, OfWeights):
            made = Made(dict(view.take(self._loaded(step))))
            self._tick(step.weight)
            return {unit.key: made}
        if isinstance(view, TextRows):
            from . import text_pass

            size, renew = self._settings.at_once(self._settings.runs_on()), self._claims.renew
            found = text_pass.make(step.units, self._loaded(step), batch_size=size, tick=lambda _: renew())
            self._progress.advance(step.weight)
            return found
        raise TypeError(f"{type(view).__name__} is no kind of view that is computed")

    def _loaded(self, step: Step) -> Loaded:
        return self._residents.get(cast("Any", step.model), self._settings.runs_on())

    @cached_property
    def _aids(self) -> Aids:
        """What units that are made with instruments have at hand."""
        from ..language.askers import Askers
        from .aids import Aids

        return Aids(
            load=lambda model: self._residents.get(model, self._settings.runs_on()),
            bench=lambda each: self._residents.instrument(each, self._settings.runs_on()),
            pictures=self._pictures,
            memos=self._folder.memos,
            asker=Askers(self._residents, self._settings),
            batch_size=self._settings.at_once(self._settings.runs_on()),
            pool=self._pool,
            give_up=self._folder.records.give_up,
            tick=self._claims.renew,
        )

    @cached_property
    def _pictures(self) -> Pictures:
        """The pictures of the store, opened once for a run."""
        from ..images.pictures import Pictures

        return Pictures(self._folder.objects)

    def _tick(self, count: int) -> None:
        self._progress.advance(0 if self._again else count)
        self._claims.renew()

    def _write(self, unit: Unit, made: Made, seconds: float, where: Facts) -> tuple[bool, int]:
        """Put a unit to disk; tells whether it is the one that is kept, and how many rows are absent.

        What others look at is left alone: it may run in a thread.
        """
        facts = {
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "host": socket.gethostname(),
            "run": self._run,
            "seconds": round(seconds, 3),
            **where,
            "libraries": libraries(unit.view),
        }
        data = encoded(unit, made)
        rows = absences(unit, made)
        self._folder.failures.settle(unit, rows)  # first: a unit that is done is not looked at again
        kept = self._folder.records.keep(unit, data, absent=made.absent, facts=made.facts, made=facts)
        return kept, len(rows)

    def _told(self, unit: Unit, found: tuple[bool, int]) -> None:
        """Take note of a unit that is on disk."""
        kept, absent = found
        self._done.add(unit.key)
        self._counts["filled" if kept else "reused"] += 1
        self._counts["absent"] += absent
        if kept:
            self._progress.kept()

    def _where(self, unit: Unit) -> Facts:
        device = "cpu" if isinstance(unit.view, Derived) else self._settings.runs_on()
        return {"device": device, "batch_size": self._settings.at_once(device)}

    def _note(self, started: float, steps: int) -> None:
        """Leave a row for the table `runs`."""
        facts = {
            "run": self._run,
            "started": datetime.fromtimestamp(started, UTC).isoformat(timespec="seconds"),
            "seconds": round(time.time() - started, 3),
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "steps": steps,
            **self._counts,
            "settings": self._settings.facts(),
        }
        with suppress(StoreFull):  # the unit that did not fit has said so, or all of them did
            self._folder.objects.create(f"runs/{self._run}.json", seal(facts))
