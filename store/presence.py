"""Who is writing to a store: each writer stands in `running/` before it writes anything else.

A writer that lives, stopped or not, is left alone by `garbage.py`: what it has written is not taken for
litter, although no record says yet what it belongs to. One of this machine lives while its process does; one
of another machine, which cannot be asked, while its word is younger than a day. Whoever keeps units says it
anew.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

from .errors import StoreError
from .objects import ObjectInfo, Objects
from .owner import Owner, myself
from .sealed import seal, unseal

RENEWED = 3600.0
"""Seconds after which a writer that keeps something says again that it is there."""
BELIEVED = timedelta(days=1)
"""For so long a writer of another machine is taken to live."""


@dataclass(frozen=True, slots=True)
class Present:
    """A writer that said it is there."""

    token: str
    """Its word, which is in the names of all that it writes."""
    info: ObjectInfo
    """The object in which it said so."""
    alive: bool
    """Whether it is taken to live."""


class Presence:
    """The presence of one opened store: there while anything in this process writes through it."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._lock = threading.Lock()
        self._inside = 0
        self._token, self._said = "", 0.0

    @contextmanager
    def at_work(self, what: str) -> Iterator[str]:
        """Be present while the block runs, and give the token; blocks may lie inside each other.

        In a store that is open to read only, where nothing can be written, nothing happens.
        """
        if self._objects.read_only:
            yield ""
            return
        with self._lock:
            if not self._inside or time.monotonic() - self._said > RENEWED:
                self._say(what, self._token if self._inside else secrets.token_hex(4))
            self._inside += 1
        try:
            yield self._token
        finally:
            with self._lock:
                self._inside -= 1
                if not self._inside:
                    with suppress(StoreError):
                        self._objects.delete(_path(self._token))

    def stands(self, token: str) -> bool:
        """Look whether a token is still present: nobody has taken its owner for dead since it said so."""
        return self._objects.exists(_path(token))

    def again(self, token: str, what: str) -> str:
        """Go on under another token where this one was taken for dead, and give that."""
        with self._lock:
            if token == self._token:
                self._say(what, secrets.token_hex(4))
            return self._token

    def _say(self, what: str, token: str) -> None:
        facts = {**asdict(myself()), "token": token, "what": what}
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self._objects.put(_path(token), seal({**facts, "started": now}))
        self._token, self._said = token, time.monotonic()


def present(objects: Objects) -> list[Present]:
    """List all writers that said they are there and did not end, with whether they live."""
    infos = [info for info in objects.list("running/") if info.path.endswith(".json")]
    return [
        Present(info.path[len("running/") : -len(".json")], info, _alive(objects, info)) for info in infos
    ]


def _alive(objects: Objects, info: ObjectInfo) -> bool:
    """Tell whether a writer lives; whoever cannot be read or asked is believed for a while."""
    believed = datetime.now(UTC) - info.modified < BELIEVED
    try:
        facts = unseal(objects.get(info.path))
        known = Owner(facts["host"], facts["pid"], facts["born"], facts["token"]).alive()
    except FileNotFoundError:  # it has ended since
        return False
    except (ValueError, KeyError):
        return believed
    return believed if known is None else known


def _path(token: str) -> str:
    return f"running/{token}.json"
