"""The one door to what is on disk: whole objects, put at once, listed by prefix."""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import LocalStore

from .errors import DamagedObject, Forked, ReadOnlyStore, StoreError, StoreFull
from .sealed import unseal
from .strays import Stray, clear, strays
from .tracing import emit

_OS_ERROR = re.compile(r"os error (\d+)")
CHANGED = "its bytes changed"
"""What is said of an object whose digest is not the one that was written down."""
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What a listing says of one object."""

    path: str
    """Its path below the root, with slashes."""
    size: int
    """Its length in bytes."""
    modified: datetime
    """When it was put, in the clock of the device that holds it."""


class Objects:
    """Immutable byte strings under paths, below one folder.

    Every access of the store goes through here, so that another place to keep objects is one more class
    of this shape. Each `put` is atomic: a reader sees the whole object or none.
    """

    def __init__(self, root: Path, *, read_only: bool = False) -> None:
        self.root = root
        self.read_only = read_only
        self._backend = LocalStore(root)

    def get(self, path: str) -> bytes:
        """Read a whole object; `FileNotFoundError` where there is none."""
        emit("read", path)
        with _translated(path):
            return bytes(obstore.get(self._backend, path).bytes())

    def get_range(self, path: str, start: int, stop: int) -> bytes:
        """Read the bytes from `start` up to `stop`; fewer where the object ends before."""
        emit("read", path)
        with _translated(path):
            return bytes(obstore.get_range(self._backend, path, start=start, end=stop))

    def get_tail(self, path: str, count: int) -> bytes:
        """Read the last `count` bytes."""
        size = self.size(path)
        return self.get_range(path, max(0, size - count), size)

    def size(self, path: str) -> int:
        """Give an object's length in bytes; `FileNotFoundError` where there is none."""
        with _translated(path):
            return int(obstore.head(self._backend, path)["size"])

    def exists(self, path: str) -> bool:
        """Tell whether there is an object at this path."""
        try:
            self.size(path)
        except FileNotFoundError:
            return False
        return True

    def put(self, path: str, data: bytes) -> None:
        """Write an object at once, over whatever was there."""
        self._refuse_if_read_only(path)
        emit("write", path)
        with _translated(path):
            obstore.put(self._backend, path, data, use_multipart=False)

    def create(self, path: str, data: bytes) -> bool:
        """Write an object unless there is one; tell whether it was written."""
        self._refuse_if_read_only(path)
        with _translated(path):
            try:
                obstore.put(self._backend, path, data, mode="create", use_multipart=False)
            except AlreadyExistsError:
                return False
        emit("write", path)
        return True

    def rename(self, old: str, new: str) -> bool:
        """Move an object; tell whether it was there. Of several that move one object, one succeeds."""
        self._refuse_if_read_only(old)
        with _translated(old):
            try:
                obstore.rename(self._backend, old, new)
            except FileNotFoundError:
                return False
        emit("write", new)
        return True

    def delete(self, path: str) -> None:
        """Remove an object; nothing happens where there is none."""
        self._refuse_if_read_only(path)
        emit("delete", path)
        with _translated(path):
            try:
                obstore.delete(self._backend, path)
            except FileNotFoundError:
                return

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """List every object below a prefix, which ends at a slash; the order is not said."""
        emit("list", prefix)
        with _translated(prefix):
            for batch in obstore.list(self._backend, prefix.rstrip("/")):
                for found in batch:
                    yield ObjectInfo(found["path"], found["size"], found["last_modified"])

    def names(self, prefix: str) -> set[str]:
        """List the last parts, without their suffix, of the `.json` objects right below a prefix."""
        return {
            each.name.removesuffix(".json")
            for each in self._entries(prefix)
            if each.name.endswith(".json") and each.is_file()
        }

    def folders(self, prefix: str) -> set[str]:
        """List the last parts of the prefixes right below a prefix."""
        return {each.name for each in self._entries(prefix) if each.is_dir()}

    def _entries(self, prefix: str) -> Sequence[os.DirEntry[str]]:
        """List what is right below a prefix, eight times as fast as the backend does: sizes are not asked."""
        emit("list", prefix)
        with _translated(prefix):
            try:
                with os.scandir(self.root / prefix) as found:
                    return list(found)
            except (FileNotFoundError, NotADirectoryError):
                return []
            except PermissionError as error:
                raise ReadOnlyStore(f"{prefix}: permission denied") from error

    def strays(self) -> Sequence[Stray]:
        """List what is in the folder and is no object: what processes left there that were killed."""
        return strays(self.root)

    def clear(self, stray: Stray) -> None:
        """Remove a stray; nothing happens where it is gone already."""
        self._refuse_if_read_only(stray.path)
        emit("delete", stray.path)
        clear(self.root, stray)

    def get_json(self, path: str) -> Any:
        """Read an object that holds JSON."""
        return json.loads(self.get(path))

    def get_sealed(self, path: str, remedy: str) -> dict[str, Any]:
        """Read what `sealed.seal` wrote; `DamagedObject`, which says the remedy, for other bytes."""
        data = self.get(path)
        try:
            return unseal(data)
        except ValueError as error:
            raise DamagedObject(path, CHANGED, remedy) from error

    def _refuse_if_read_only(self, path: str) -> None:
        if self.read_only:
            able = os.access(self.root, os.W_OK)
            raise ReadOnlyStore(
                f'{self.root} was opened with mode="r", so {path} cannot be written; open it with mode="a"'
                if able
                else f"{self.root} is read-only here, so {path} cannot be written; "
                "copy it to where you may write"
            )


_users: set[int] = set()
"""The process that used obstore first; its threads do not live on in those forked from it."""


def _refuse_if_forked() -> None:
    if os.getpid() not in _users:
        if _users:
            raise Forked(
                "a store was used before this process was forked, and cannot be read in it; start processes "
                'with "forkserver" or "spawn", as in DataLoader(…, multiprocessing_context="forkserver")'
            )
        _users.add(os.getpid())


@contextmanager
def _translated(path: str) -> Iterator[None]:
    """Give the errors of the backend the names that this package promises."""
    _refuse_if_forked()
    try:
        yield
    except FileNotFoundError:
        raise FileNotFoundError(errno.ENOENT, "no such object", path) from None
    except BaseError as error:
        code = _OS_ERROR.search(str(error))
        number = int(code.group(1)) if code else 0
        if number in _NO_ROOM:
            raise StoreFull(
                f"no room left to write {path} ({errno.errorcode[number]}); "
                "everything finished before is kept: make room and run the same command again"
            ) from error
        if number in (errno.EACCES, errno.EROFS, errno.EPERM):
            raise ReadOnlyStore(f"{path}: permission denied") from error
        raise StoreError(f"{path}: {str(error).splitlines()[0]}") from error
