"""A store's objects with what this process adds to them kept in memory, and nothing on disk touched."""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from .objects import ObjectInfo, Objects
from .tracing import emit

OWN = ("claims/", "running/")
"""Prefixes below which only what is in memory counts: what other processes are doing holds up nobody here."""


class Overlay(Objects):
    """Reads go through to the folder, writes go to memory, and listings show both as one.

    What is written over or deleted is hidden, and stays on disk as it is. What is in memory is lost with the
    process, or when it is forgotten; it is as large as what was written, without a bound.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(root, read_only=False)
        self._held: dict[str, tuple[bytes, datetime]] = {}
        self._hidden: set[str] = set()
        self._lock = threading.Lock()

    def forget(self) -> None:
        """Let go of what is in memory: what is on disk shows again."""
        with self._lock:
            self._held.clear()
            self._hidden.clear()

    @property
    def nbytes(self) -> int:
        """How many bytes of objects are in memory."""
        return sum(len(data) for data, _ in list(self._held.values()))

    def get(self, path: str) -> bytes:
        """Read a whole object; `FileNotFoundError` where there is none."""
        held = self._in_memory(path)
        return super().get(path) if held is None else held

    def get_range(self, path: str, start: int, stop: int) -> bytes:
        """Read the bytes from `start` up to `stop`; fewer where the object ends before."""
        held = self._in_memory(path)
        return super().get_range(path, start, stop) if held is None else held[start:stop]

    def size(self, path: str) -> int:
        """Give an object's length in bytes; `FileNotFoundError` where there is none."""
        held = self._held.get(path)
        if held is None:
            self._refuse_hidden(path)
            return super().size(path)
        return len(held[0])

    def put(self, path: str, data: bytes) -> None:
        """Write an object at once, over whatever was there."""
        emit("write", path)
        with self._lock:
            self._hold(path, data)

    def create(self, path: str, data: bytes) -> bool:
        """Write an object unless there is one; tell whether it was written."""
        with self._lock:
            if self.exists(path):
                return False
            self._hold(path, data)
        emit("write", path)
        return True

    def rename(self, old: str, new: str) -> bool:
        """Move an object; tell whether it was there. Of several that move one object, one succeeds."""
        with self._lock:
            try:
                data = self.get(old)
            except FileNotFoundError:
                return False
            self._drop(old)
            self._hold(new, data)
        emit("write", new)
        return True

    def delete(self, path: str) -> None:
        """Hide an object; nothing happens where there is none."""
        emit("delete", path)
        with self._lock:
            self._drop(path)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """List every object below a prefix, which ends at a slash; the order is not said."""
        with self._lock:
            held = [(path, *each) for path, each in self._held.items() if path.startswith(prefix)]
        for path, data, modified in held:
            yield ObjectInfo(path, len(data), modified)
        seen = {path for path, _, _ in held}
        for info in super().list(prefix):
            if info.path not in seen and not self._is_hidden(info.path):
                yield info

    def names(self, prefix: str) -> set[str]:
        """List the last parts, without their suffix, of the `.json` objects right below a prefix."""
        there = {each for each in super().names(prefix) if not self._is_hidden(f"{prefix}{each}.json")}
        right_below = (path for path in self._below(prefix) if "/" not in path)
        return there | {path.removesuffix(".json") for path in right_below if path.endswith(".json")}

    def folders(self, prefix: str) -> set[str]:
        """List the last parts of the prefixes right below a prefix; hidden objects leave theirs."""
        return super().folders(prefix) | {path.split("/")[0] for path in self._below(prefix) if "/" in path}

    def _below(self, prefix: str) -> Sequence[str]:
        """List the rest of the paths in memory that begin with a prefix."""
        with self._lock:
            return [path.removeprefix(prefix) for path in self._held if path.startswith(prefix)]

    def _in_memory(self, path: str) -> bytes | None:
        """Read an object from memory; None where it is on disk, if anywhere."""
        held = self._held.get(path)
        if held is None:
            self._refuse_hidden(path)
            return None
        emit("read", path)
        return held[0]

    def _hold(self, path: str, data: bytes) -> None:
        self._held[path] = (bytes(data), datetime.now(UTC))

    def _drop(self, path: str) -> None:
        self._held.pop(path, None)
        self._hidden.add(path)

    def _is_hidden(self, path: str) -> bool:
        return path in self._hidden or path.startswith(OWN)

    def _refuse_hidden(self, path: str) -> None:
        if self._is_hidden(path):
            raise FileNotFoundError(errno.ENOENT, "no such object", path)
