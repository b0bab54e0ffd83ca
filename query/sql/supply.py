"""Computes what scans ask for, on the thread that asked the question, while DuckDB runs on another."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Generic, TypeVar

from ...compute.running.report import Progress, Settings
from ...store.views import Unit
from ..engine import Engine
from .budget import Budget, Spending

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Filling:
    """How a statement has missing units computed."""

    settings: Settings
    """How to compute."""
    progress: Progress
    """Told how that goes on."""
    budget: Budget
    """How much may be computed."""


@dataclass(slots=True)
class _Order(Generic[T]):
    """Something to be done on the other thread, and what came of it."""

    work: Callable[[], T]
    ended: threading.Event = field(default_factory=threading.Event)
    result: T | None = None
    error: BaseException | None = None

    def carry_out(self) -> None:
        try:
            self.result = self.work()
        except BaseException as error:
            self.error = error
            raise
        finally:
            self.ended.set()


class Supplier:
    """Fills units for the scans of one statement, and remembers what it filled.

    Torch, progress bars and Ctrl-C belong to the thread that asked; DuckDB calls scans on threads of its
    own. So the statement runs on a thread beside, and what its scans ask for is done here meanwhile.
    """

    def __init__(self, engine: Engine, filling: Filling) -> None:
        self._engine, self._filling = engine, filling
        self._spending = Spending(filling.budget)
        self._orders: SimpleQueue[_Order[Collection[str]] | None] = SimpleQueue()
        self._broken: BaseException | None = None
        self.filled: set[str] = set()
        """The keys of units that were missing and are there now."""
        self.reasons: dict[str, None] = {}
        """Why others could not be made."""

    def __call__(self, units: Sequence[Unit]) -> Collection[str]:
        """Have units filled, from any thread; give the keys of those that are there then."""
        order = _Order(lambda: self._fill(units))
        if self._broken is not None:
            raise RuntimeError("the statement was given up") from self._broken
        self._orders.put(order)
        order.ended.wait()
        if order.error is not None:
            raise order.error
        assert order.result is not None
        return order.result

    def serve(self, ask: Callable[[], T], interrupt: Callable[[], None]) -> T:
        """Run a statement on a thread beside, and do what it asks for until it ends.

        Where that fails or is interrupted, `interrupt` is called to end the statement, too.
        """
        asked: _Order[T] = _Order(ask)
        thread = threading.Thread(target=self._ask, args=(asked,), name="sql", daemon=True)
        thread.start()
        try:
            while (order := self._orders.get()) is not None:
                order.carry_out()
        except BaseException as error:
            self._broken = error
            interrupt()
            self._refuse_rest(error)
            thread.join()
            raise
        self._broken = RuntimeError("the statement has ended")
        thread.join()
        if asked.error is not None:
            raise asked.error
        return asked.result  # type: ignore[return-value]  # without an error there is a result

    def _ask(self, asked: _Order[T]) -> None:
        try:
            asked.carry_out()
        except BaseException:  # it is raised on the thread that asked
            pass
        finally:
            self._orders.put(None)

    def _refuse_rest(self, error: BaseException) -> None:
        """Let every scan that still waits go on, to fail."""
        while (order := self._orders.get()) is not None:
            order.error = error
            order.ended.set()

    def _fill(self, units: Sequence[Unit]) -> Collection[str]:
        found = self._engine.plan(units)
        if found.steps:
            self._spending.spend(found, units, self._engine.plan)
            report = self._engine.fill(units, self._filling.settings, self._filling.progress)
            self.reasons |= dict.fromkeys(report.reasons)
        views = {id(unit.view): unit.view for unit in units}
        done = {key: self._engine.readable(view) for key, view in views.items()}
        there = {unit.key for unit in units if unit.key in done[id(unit.view)]}
        self.filled |= there
        return there
