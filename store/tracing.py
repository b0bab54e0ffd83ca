"""What a block of code did: objects read and written, models loaded, units computed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class Trace:
    """Events in the order in which they happened, each a kind and a detail."""

    events: list[tuple[str, str]] = field(default_factory=list)

    def of(self, kind: str) -> list[str]:
        """Give the details of one kind: `read`, `write`, `list`, `delete`, `load` or `compute`."""
        return [detail for event, detail in self.events if event == kind]


_active: list[Trace] = []


@contextmanager
def trace() -> Iterator[Trace]:
    """Collect the events of everything that runs inside, on any thread of this process.

    >>> with trace() as seen:
    ...     emit("compute", "head_moments/3f")
    >>> seen.of("compute")
    ['head_moments/3f']
    """
    seen = Trace()
    _active.append(seen)
    try:
        yield seen
    finally:
        _active.remove(seen)


def emit(kind: str, detail: str) -> None:
    """Tell every active trace that something happened."""
    for seen in _active:
        seen.events.append((kind, detail))
