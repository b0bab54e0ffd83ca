"""When units were last read: remembered in memory, written now and then, merged by whoever collects.

A mark that is lost lets a unit look less used than it is, and nothing worse. So marks are written once a
minute at most and when the process ends, never where that is refused, and what cannot be read is no mark.
"""

from __future__ import annotations

import atexit
import os
import secrets
import time
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from .errors import StoreError
from .marker import MARKER
from .objects import Objects
from .sealed import seal, unseal

EVERY = 60.0
"""Seconds between two writings."""


class Uses:
    """The marks of one process on the units of one store."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._marks: dict[str, float] = {}
        self._written = time.time()
        self._pid, self._token = os.getpid(), secrets.token_hex(4)

    def mark(self, key: str) -> None:
        """Note that a unit is read now."""
        now = time.time()
        self._marks[key] = now
        if not 0 <= now - self._written <= EVERY:
            self.write()

    def write(self) -> None:
        """Write down all marks of this process, unless that is refused."""
        self._written = time.time()
        if not self._marks or self._objects.read_only or self._pid != os.getpid():
            return
        with suppress(StoreError, OSError):
            if self._objects.exists(MARKER):  # the store may be gone by the time the process ends
                _put(self._objects, self._marks.copy(), self._token)


_of_process: dict[tuple[Path, type[Objects]], Uses] = {}
"""The marks of this process, by store; they outlive what opened the store."""


def uses_of(objects: Objects) -> Uses:
    """Give the marks of this process on a store, which are written when it ends at the latest."""
    if objects.read_only:
        return Uses(objects)
    place = (objects.root, type(objects))
    if place not in _of_process:
        _of_process[place] = Uses(objects)
    return _of_process[place]


@atexit.register
def _write_all() -> None:
    for uses in _of_process.values():
        uses.write()


def used(objects: Objects) -> dict[str, float]:
    """Read all marks: when each unit was last read, in seconds since 1970."""
    return _latest(_read(objects, info.path) for info in list(objects.list("uses/")))


def merge(objects: Objects, kept: Collection[str], before: datetime) -> None:
    """Join all marks that were written before a time to one object, without those of units that are gone.

    A process that still writes marks writes all of its own again, so none of them is lost for good.
    """
    infos = [info for info in objects.list("uses/") if info.modified < before]
    if not infos:
        return
    found = _latest(_read(objects, info.path) for info in infos)
    whole = {key: when for key, when in found.items() if key in kept}
    if len(infos) == 1 and len(whole) == len(found):
        return
    if whole:
        _put(objects, whole, secrets.token_hex(4))
    for info in infos:
        objects.delete(info.path)


def _latest(several: Iterable[Mapping[str, float]]) -> dict[str, float]:
    found: dict[str, float] = {}
    for marks in several:
        for key, when in marks.items():
            found[key] = max(when, found.get(key, 0.0))
    return found


def _put(objects: Objects, marks: Mapping[str, float], token: str) -> None:
    """Write marks, to whole seconds, under today's date."""
    plain = {key: int(when) for key, when in marks.items()}
    objects.put(f"uses/{datetime.now(UTC):%Y%m%d}-{token}.json", seal({"used": plain}))


def _read(objects: Objects, path: str) -> dict[str, float]:
    try:
        return {str(key): float(when) for key, when in unseal(objects.get(path))["used"].items()}
    except (FileNotFoundError, ValueError, KeyError, AttributeError, TypeError):
        return {}
