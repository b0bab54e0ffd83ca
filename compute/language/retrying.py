"""When a request is tried again, how long to wait before, and when a provider counts as down."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from time import time
from typing import TypeVar

import tenacity

from ...store.errors import ProviderDown, RequestFailed

T = TypeVar("T")
Pause = Callable[[float], None]


class Passing(Exception):
    """An attempt failed for a reason that may pass; never leaves `Retries`."""

    def __init__(
        self, reason: str, *, after: float | None = None, tokens: tuple[int, int] | None = (0, 0)
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        """What happened, in words."""
        self.after = after
        """Seconds that the provider asked to wait; None where it did not."""
        self.tokens = tokens
        """Tokens in and out that the attempt was charged for; None where that is not known."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How patient to be with a provider."""

    attempts: int = 6
    """The most attempts at one request."""
    first: float = 1.0
    """Seconds before the second attempt, about; each further wait is twice as long."""
    cap: float = 60.0
    """The longest wait in seconds that is not asked for."""
    patience: float = 300.0
    """The longest wait in seconds that a provider may ask for; beyond it counts as down."""
    failures: int = 8
    """Requests that fail in a row, each at every attempt, before the provider counts as down."""
    pause: Pause | None = None
    """What waits; by default until the time is over or the asking is given up."""


class Retries:
    """The attempts at requests to one provider, from any number of threads."""

    def __init__(self, provider: str, policy: Policy) -> None:
        self._provider, self._policy = provider, policy
        self._failures, self._last = 0, ""
        self._lock = threading.Lock()

    def of(self, attempt: Callable[[], T], halt: threading.Event) -> T:
        """Make an attempt until it succeeds.

        Args:
            attempt: One attempt; raises `Passing` for what may be better the next time.
            halt: Set from another thread, ends the waiting: the next failure is the last.

        Raises:
            RequestFailed: Every attempt failed.
            ProviderDown: So did those of the requests before, or the provider asks to wait for too long.
        """
        self._closed()
        policy = self._policy
        retrying = tenacity.Retrying(
            sleep=policy.pause or tenacity.sleep_using_event(halt),
            stop=tenacity.stop_after_attempt(policy.attempts) | tenacity.stop_when_event_set(halt),
            wait=self._wait,
            retry=tenacity.retry_if_exception_type(Passing),
            reraise=True,
        )
        try:
            found = retrying(attempt)
        except Passing as error:
            attempts = int(retrying.statistics["attempt_number"])
            raise self._failed(error, attempts, given_up=halt.is_set()) from None
        with self._lock:
            self._failures = 0
        return found

    def _wait(self, state: tenacity.RetryCallState) -> float:
        """Give the seconds to wait: what the provider asks for and a little more, or ever longer."""
        policy, error = self._policy, state.outcome.exception() if state.outcome else None
        jittered = tenacity.wait_exponential_jitter(policy.first, policy.cap, 2, policy.first)
        if not isinstance(error, Passing) or error.after is None:
            return min(jittered(state), policy.cap)
        if error.after > policy.patience:
            raise ProviderDown(self._provider, 1, f"{error.reason}, and it asks to wait {error.after:,.0f} s")
        return error.after + float(tenacity.wait_random(0, policy.first)(state))

    def _failed(self, error: Passing, attempts: int, *, given_up: bool) -> RequestFailed | ProviderDown:
        """Count a failure, unless it was not tried as often as it may be, and say what it means."""
        with self._lock:
            if not given_up:
                self._failures, self._last = self._failures + 1, error.reason
                if self._failures >= self._policy.failures:
                    return ProviderDown(self._provider, self._failures, self._last)
        return RequestFailed(self._provider, attempts, error.reason)

    def _closed(self) -> None:
        with self._lock:
            if self._failures >= self._policy.failures:
                raise ProviderDown(self._provider, self._failures, self._last)


def seconds(header: str | None) -> float | None:
    """Read a Retry-After header: seconds or a date; None where there is none that can be read.

    >>> seconds("2.5"), seconds("soon"), seconds("Wed, 21 Oct 2015 07:28:00 GMT")
    (2.5, None, 0.0)
    """
    if header is None:
        return None
    try:
        wait = float(header)
    except ValueError:
        try:
            wait = parsedate_to_datetime(header).timestamp() - time()
        except ValueError:
            return None
    return max(wait, 0.0) if wait < float("inf") else None
