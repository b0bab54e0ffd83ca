"""Results that are kept by what caused them: a caption by its pixels, a reply by its request.

Units say which neuron needs what; memos see to it that what two of them need, or one needs again after an
interrupt, is made and paid for once. A memo is put the moment it is there, and is never changed.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from . import digest
from .errors import DamagedObject
from .objects import Objects
from .sealed import seal, unseal

FOLDER = "memos/"


class Memos:
    """The memos of one store."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def get(self, kind: str, cause: Mapping[str, Any]) -> dict[str, Any] | None:
        """Give what was kept for a cause; None where nothing was, or where it is damaged."""
        try:
            found: dict[str, Any] = self._objects.get_sealed(path_of(kind, cause), "it is made again")[
                "value"
            ]
        except (FileNotFoundError, DamagedObject):
            return None
        return found

    def put(
        self,
        kind: str,
        cause: Mapping[str, Any],
        value: Mapping[str, Any],
        good: Callable[[Mapping[str, Any]], bool] = lambda _: True,
    ) -> dict[str, Any]:
        """Keep what a cause had, and give what is kept: the first stands, unless it is damaged.

        Two that make the same at once so go on with the same. Where `good` says that what another kept is of
        no use any more, such as a painting whose file is gone, it is replaced.
        """
        path, data = path_of(kind, cause), seal({"cause": dict(cause), "value": dict(value)})
        if not self._objects.create(path, data):
            standing = self.get(kind, cause)
            if standing is not None and good(standing):
                return standing
            self._objects.put(path, data)
        return dict(value)

    def picture(self, name: str) -> bytes | None:
        """Give the bytes of a kept picture by their digest; None where they are gone or damaged."""
        try:
            data = self._objects.get(path_of_picture(name))
        except FileNotFoundError:
            return None
        return data if digest.of_bytes(data) == name else None

    def put_picture(self, data: bytes) -> str:
        """Keep the bytes of a picture, and give their digest."""
        name = digest.of_bytes(data)
        if not self._objects.create(path_of_picture(name), data) and self.picture(name) is None:
            self._objects.put(path_of_picture(name), data)
        return name

    def take(self, other: Memos, *, dry_run: bool = False) -> list[str]:
        """Take over what another store keeps and this one lacks; give the paths of what is damaged there."""
        return [] if dry_run else self.take_some(other, (info.path for info in other._objects.list(FOLDER)))

    def take_some(self, other: Memos, paths: Iterable[str]) -> list[str]:
        """Take over what is at these paths in another store; give those of what is damaged there."""
        damaged = []
        here = {info.path for info in self._objects.list(FOLDER)}
        for path in dict.fromkeys(paths):
            if path in here:
                continue
            try:
                data = other._objects.get(path)
                if not _is_whole(path, data):
                    damaged.append(path)
                    continue
                self._objects.create(path, data)
            except FileNotFoundError:  # not kept there, or taken away after it was listed
                continue
        return damaged

    def of(self, kind: str) -> list[dict[str, Any]]:
        """List the memos of a kind, each with its cause and its value; damaged ones are left out."""
        found = []
        for info in self._objects.list(f"{FOLDER}{kind}/"):
            try:
                found.append(self._objects.get_sealed(info.path, ""))
            except (FileNotFoundError, DamagedObject):
                continue
        return found


def _is_whole(path: str, data: bytes) -> bool:
    """Tell whether the bytes of a memo or of a picture are those that were written."""
    if path.endswith(".png"):
        return digest.of_bytes(data) == path.rsplit("/", 1)[-1].removesuffix(".png")
    try:
        unseal(data)
    except ValueError:
        return False
    return True


def packed(values: np.ndarray[Any, np.dtype[np.float32]]) -> str:
    """Write a row of numbers as text, float32 and little-endian."""
    return base64.b64encode(np.ascontiguousarray(values, "<f4").tobytes()).decode()


def unpacked(text: str) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Read a row of numbers that `packed` wrote."""
    return np.frombuffer(base64.b64decode(text), "<f4")


def path_of(kind: str, cause: Mapping[str, Any]) -> str:
    """Give where the memo of a cause lies."""
    key = digest.of_facts(dict(cause))[:40]
    return f"{FOLDER}{kind}/{key[:2]}/{key}.json"


def path_of_picture(name: str) -> str:
    """Give where a picture lies that is named by its digest."""
    return f"{FOLDER}pictures/{name[:2]}/{name}.png"
