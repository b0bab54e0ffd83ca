"""Who computes what: claims that are created if absent, renewed, and taken over once they have lapsed.

Losing every claim would cost work done twice and never a wrong answer: what is kept is settled by the
record alone (`records.py`).
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from .objects import Objects
from .views import Unit

LEASE = 300.0
"""Seconds for which a claim holds unless it is renewed."""


@dataclass(frozen=True, slots=True)
class Owner:
    """The process that made a claim."""

    host: str
    """The machine, and which of its starts."""
    pid: int
    """The process."""
    born: str
    """When the process started, as the kernel counts, so that a number used again is not mistaken."""
    token: str
    """A random word, another for each `Claims`."""


def _host() -> str:
    boot = Path("/proc/sys/kernel/random/boot_id")
    return f"{socket.gethostname()}/{boot.read_text().strip() if boot.exists() else ''}"


def _born(pid: int) -> str | None:
    """Give the start time of a process of this machine; None where there is none, "" where unknown."""
    stat = Path(f"/proc/{pid}/stat")
    try:
        fields = stat.read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        if Path("/proc/self/stat").exists():
            return None
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return None
        except PermissionError:
            return ""
        return ""
    return None if fields[0] == "Z" else fields[19]


class Claims:
    """The claims of one process on the units of one store."""

    def __init__(self, objects: Objects, *, lease: float = LEASE) -> None:
        self._objects, self._lease = objects, lease
        self._me = Owner(_host(), os.getpid(), _born(os.getpid()) or "", secrets.token_hex(4))
        self._held: dict[str, float] = {}

    def take(self, unit: Unit) -> bool:
        """Claim a unit; False where another process holds it."""
        path = self._path(unit)
        if self._objects.create(path, self._content()):
            self._held[path] = time.monotonic()
            return True
        if not self._lapsed(path):
            return False
        self._clear(path, unit)
        if self._objects.create(path, self._content()):
            self._held[path] = time.monotonic()
            return True
        return False

    def _clear(self, path: str, unit: Unit) -> None:
        """Take a lapsed claim away; one that another process made in this instant is put back."""
        aside = f"claims/lapsed/{unit.key}.{secrets.token_hex(4)}"
        if self._objects.rename(path, aside):
            if not self._lapsed(aside):
                self._objects.create(path, self._objects.get(aside))
            self._objects.delete(aside)

    def renew(self) -> None:
        """Extend every claim that is held once a quarter of its lease is over; let go of those taken over."""
        now = time.monotonic()
        for path, since in list(self._held.items()):
            if now - since <= self._lease / 4:
                continue
            if self._owner(path) == self._me:
                self._objects.put(path, self._content())
                self._held[path] = now
            else:
                del self._held[path]

    def release(self, unit: Unit) -> None:
        """Give a claim back; nothing happens to one that another process took over."""
        path = self._path(unit)
        if self._held.pop(path, None) is not None and self._owner(path) == self._me:
            self._objects.delete(path)

    def release_all(self) -> None:
        """Give every claim back."""
        for path in list(self._held):
            del self._held[path]
            if self._owner(path) == self._me:
                self._objects.delete(path)

    def _content(self) -> bytes:
        return json.dumps({**asdict(self._me), "expires": time.time() + self._lease}).encode()

    def _read(self, path: str) -> tuple[Owner, float] | None:
        try:
            facts = self._objects.get_json(path)
            expires = float(facts.pop("expires"))
            return Owner(**facts), expires
        except (FileNotFoundError, ValueError, TypeError, KeyError):
            return None

    def _owner(self, path: str) -> Owner | None:
        found = self._read(path)
        return found[0] if found else None

    def _lapsed(self, path: str) -> bool:
        """Tell whether a claim's time is over, its process gone, or its content unreadable."""
        found = self._read(path)
        if found is None:
            return True
        owner, expires = found
        now = time.time()
        if now > expires or expires > now + 2 * self._lease:  # the clock was set back since
            return True
        return owner.host == self._me.host and _born(owner.pid) != owner.born

    @staticmethod
    def _path(unit: Unit) -> str:
        return f"claims/{unit.view.name()}/{unit.key}"
