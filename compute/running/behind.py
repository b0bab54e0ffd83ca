"""Writing behind the computing: units are put to disk by a thread of their own, one step at a time."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

T = TypeVar("T")


class Behind(Generic[T]):
    """One piece of work that goes on behind what the caller does next; what came of it is told afterwards.

    `write` runs in a thread of its own and changes nothing that the caller looks at; `tell` is called with
    what it gave, by the caller's thread. At most one piece is under way, so that memory stays bounded.
    """

    def __init__(self) -> None:
        """Have nothing under way."""
        self._pool = ThreadPoolExecutor(1, "write")
        self._under_way: tuple[Future[T], Callable[[Future[T]], None]] | None = None

    def put(self, write: Callable[[], T], tell: Callable[[Future[T]], None]) -> None:
        """Start a piece of work, once the one before it has ended and was told of."""
        self.settle()
        self._under_way = (self._pool.submit(write), tell)

    def settle(self) -> bool:
        """Wait for what is under way, and tell of it; False where nothing is."""
        if self._under_way is None:
            return False
        future, tell = self._under_way
        future.exception()  # waits; who is interrupted here can settle it again
        self._under_way = None
        tell(future)
        return True

    def close(self) -> None:
        """End the thread; what is under way is waited for."""
        self._pool.shutdown(wait=True)
