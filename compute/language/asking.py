"""Asking a language model: within a budget, again where it failed, and several requests at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from functools import cached_property
from typing import Any, TypeVar

from ...store.errors import BadKey, RequestFailed, RequestRejected
from .budget import Budget, Limits, Spent, price
from .messages import LanguageModel, Reply, Request
from .retrying import Passing, Policy, Retries

T = TypeVar("T")
R = TypeVar("R")

_given_up: ContextVar[threading.Event | None] = ContextVar("given_up", default=None)


class Asker:
    """A language model with the patience and the budget with which it is asked; one serves many threads."""

    def __init__(
        self,
        model: LanguageModel,
        *,
        budget: Budget | None = None,
        policy: Policy | Retries | None = None,
        identity: Mapping[str, Any] | None = None,
    ) -> None:
        """Take what is needed to ask; nothing is sent, and no weights are read.

        Args:
            model: Who is asked.
            budget: What it may take; by default as much as it does.
            policy: How patient to be with it; or attempts that go on from those of an asker before.
            identity: What identifies it (`model.facts()`), where that is known; found when it is needed else.
        """
        self.model = model
        self._identity = identity
        self.budget = budget or Budget(Limits(), price(model, {}))
        self._retries = policy if isinstance(policy, Retries) else Retries(model.name, policy or Policy())
        self._lock, self._entered = threading.Lock(), dict[str, tuple[threading.Lock, int]]()
        self._room = threading.BoundedSemaphore(model.terms.width)

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What identifies the model."""
        return dict(self.model.facts() if self._identity is None else self._identity)

    @property
    def spent(self) -> Spent:
        """What was spent so far."""
        return self.budget.spent

    def __call__(self, request: Request) -> Reply:
        """Ask one request.

        Raises:
            RequestFailed: It failed at every attempt.
            ProviderDown: So did those before it; what was answered is not lost to whoever kept it.
            BudgetSpent: The next attempt could take more than is left.
            RequestRejected: The provider will not answer it.
            BadKey: The provider's key is not set, or not accepted.
        """
        self.model.check()
        metered = self.model.terms.metered
        attempt = self._metered if metered else self.model.complete
        return self._retries.of(lambda: attempt(request), _given_up.get() or threading.Event())

    def _metered(self, request: Request) -> Reply:
        with self._room:
            held = self.budget.reserve(self.model.tokens(request), request.sampling.max_tokens)
            taken = (held.tokens_in, held.tokens_out)
            try:
                reply = self.model.complete(request)
                taken = (
                    held.tokens_in if reply.tokens_in is None else reply.tokens_in,
                    _length(reply) if reply.tokens_out is None else reply.tokens_out,
                )
            except Passing as error:
                taken = taken if error.tokens is None else error.tokens
                raise
            except (BadKey, RequestRejected):
                taken = (0, 0)
                raise
            finally:
                self.budget.settle(held, *taken)
        return reply

    @contextmanager
    def alone(self, key: str) -> Iterator[None]:
        """Let one thread at a time into blocks with a key: the second finds what the first one kept."""
        with self._lock:
            lock, waiting = self._entered.get(key, (threading.Lock(), 0))
            self._entered[key] = (lock, waiting + 1)
        try:
            with lock:
                yield
        finally:
            with self._lock:
                lock, waiting = self._entered.pop(key)
                if waiting > 1:
                    self._entered[key] = (lock, waiting - 1)

    def each(self, function: Callable[[T], R], items: Sequence[T]) -> list[R]:
        """Call a function that asks for each item, as many at once as the model takes; give their results.

        All that was begun is finished before an error leaves, so that what was paid for can be kept: a
        request that failed leaves the others be, anything else ends the waiting for further attempts. A
        function may call `each` in turn: no more is under way at once for it, and what ends one ends all.
        """
        found = list[R]()
        for each in self.tried(function, items):
            if isinstance(each, RequestFailed):
                raise each
            found.append(each)
        return found

    def tried(self, function: Callable[[T], R], items: Sequence[T]) -> list[R | RequestFailed]:
        """Do as `each` does, but give the error in the place of an item of which a request failed."""
        if self.model.terms.width == 1:
            return _in_turn(function, items)
        given_up = _given_up.get() or threading.Event()
        token = _given_up.set(given_up)
        pool = ThreadPoolExecutor(self.model.terms.width, "belvedere-ask")
        try:
            tasks = [pool.submit(copy_context().run, function, item) for item in items]
            left = set(tasks)
            while left and not given_up.is_set():
                done, left = wait(left, return_when=FIRST_EXCEPTION)
                if not all(isinstance(task.exception(), RequestFailed | None) for task in done):
                    given_up.set()
        except BaseException:
            given_up.set()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
            _given_up.reset(token)
        return self._results(tasks)

    def _results(self, tasks: Sequence[Future[R]]) -> list[R | RequestFailed]:
        """Give what came of tasks, failed requests included, or raise what ended them."""
        found = list[R | RequestFailed]()
        for task in tasks:
            error = None if task.cancelled() else task.exception()
            if error is not None and not isinstance(error, RequestFailed):
                raise error
            if task.cancelled():
                error = RequestFailed(self.model.name, 0, "the asking was given up")
            found.append(task.result() if error is None else error)
        return found


def _in_turn(function: Callable[[T], R], items: Sequence[T]) -> list[R | RequestFailed]:
    """Call a function for each item on this thread."""
    found = list[R | RequestFailed]()
    for item in items:
        try:
            found.append(function(item))
        except RequestFailed as error:
            found.append(error)
    return found


def _length(reply: Reply) -> int:
    return -(-len(reply.text.encode()) // 4)
