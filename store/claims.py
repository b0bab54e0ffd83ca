"""Who computes what: claims that are created if absent, renewed, and taken over once they have lapsed.

Losing every claim would cost work done twice and never a wrong answer: what is kept is settled by the
record alone (`records.py`).

A claim has two times at which it ends. Processes of one machine go by the clock that counts since its start,
which nobody sets; those of other machines go by the time of day, and take a claim from too far in the future
for one whose clock was set back since.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

from .objects import Objects
from .owner import Owner, myself
from .views import Unit

LEASE = 300.0
"""Seconds for which a claim holds unless it is renewed."""
LAPSED = "claims/lapsed/"
"""Where it stands who is dealing with a claim that has lapsed."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a claim says."""

    owner: Owner
    """Who made it."""
    expires: float
    """When it ends, in seconds since 1970 by its owner's clock."""
    until: float
    """When it ends, in seconds since the start of its owner's machine."""


class Claims:
    """The claims of one process on the units of one store."""

    def __init__(self, objects: Objects, *, lease: float = LEASE) -> None:
        self._objects, self._lease = objects, lease
        self._me = myself()
        self._held: dict[str, float] = {}

    def take(self, unit: Unit) -> bool:
        """Claim a unit; False where another process holds it."""
        path = self._path(unit)
        if self._objects.create(path, self._content()):
            self._held[path] = time.monotonic()
            return True
        return self._settle(path, lambda: self._objects.put(path, self._content()), own=True)

    def clear(self, path: str) -> None:
        """Take a claim of anybody's away if it has lapsed."""
        self._settle(path, lambda: self._objects.delete(path), own=False)

    def _settle(self, path: str, act: Callable[[], None], *, own: bool) -> bool:
        """Do something about a claim that has lapsed; of several who see that it has, one does.

        Whose turn it is says an object beside it. Without that, whoever comes second would take the claim of
        whoever came first for the one that had lapsed.
        """
        seen = self._get(path)
        if seen is None or not self._is_over(seen):  # given back in this instant, or held
            return False
        turn = f"{LAPSED}{path.rpartition('/')[2]}"
        if not self._objects.create(turn, self._content()):
            if self.has_lapsed(turn):
                self._objects.delete(turn)
            return False
        try:
            if self._get(path) != seen:
                return False
            act()
            if own:
                self._held[path] = time.monotonic()
            return True
        finally:
            self._objects.delete(turn)

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

    def has_lapsed(self, path: str) -> bool:
        """Tell whether a claim of anybody's holds nobody up any more."""
        seen = self._get(path)
        return seen is None or self._is_over(seen)

    def _content(self) -> bytes:
        ends = {"expires": time.time() + self._lease, "until": time.monotonic() + self._lease}
        return json.dumps({**asdict(self._me), **ends}).encode()

    def _get(self, path: str) -> bytes | None:
        try:
            return self._objects.get(path)
        except FileNotFoundError:
            return None

    def _owner(self, path: str) -> Owner | None:
        found = _read(self._get(path))
        return found.owner if found else None

    def _is_over(self, content: bytes) -> bool:
        """Tell whether a claim's time is over, its process gone, or its content unreadable."""
        found = _read(content)
        if found is None:
            return True
        if found.owner.here:
            return not found.owner.alive() or time.monotonic() > found.until
        now = time.time()
        return now > found.expires or found.expires > now + 2 * self._lease  # set back since

    @staticmethod
    def _path(unit: Unit) -> str:
        return f"claims/{unit.view.name()}/{unit.key}"


def _read(content: bytes | None) -> Claim | None:
    try:
        facts = json.loads(content or b"")
        expires, until = float(facts.pop("expires")), float(facts.pop("until"))
        return Claim(Owner(**facts), expires, until)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
