"""Pictures by their paths: painted, kept in the store, rows of data sets, or files."""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from ...store import digest
from ...store.errors import BadSource, PictureChanged, UnreadablePicture
from ...store.objects import Objects
from ...store.sets import MASK
from .dataset_folders import DatasetRows, open_rows
from .decoding import decode

if TYPE_CHECKING:
    import pyarrow as pa

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
"""File names that count as pictures when a folder is read."""
GONE = "gone"
"""Stands for the digest of a file that was not there any more when its set was added again."""
DECODING = 2
"""Raised when a file would be decoded to other pixels: part of what everything computed follows from."""
DEMO = "demo:"
"""Pictures of the demo world are painted when they are read; `demo:scenes/` and a number is a path."""
KEPT = "kept:"
"""Pictures whose bytes the store keeps; this and their digest is their path, and `/2` for the same again."""
DATASET = "dataset:"
"""Rows of data set folders: this, the folder, `#`, the split where there is one, `/` and the row."""


class Pictures:
    """The bytes of the pictures of one store, by their paths; what it opens it keeps open."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._rows: dict[str, DatasetRows] = {}
        self._lock = threading.Lock()

    def read(self, path: str) -> bytes:
        """Read a picture's bytes; `OSError` where there is no such picture any more."""
        if path.startswith(DEMO):
            return _painted(path)
        if path.startswith(KEPT):
            return self._objects.get(_object(path))
        if path.startswith(DATASET):
            rows, row = self._row(path)
            return rows.picture(row)
        return Path(path).read_bytes()

    def exists(self, path: str) -> bool:
        """Tell whether a picture is still there."""
        if path.startswith(KEPT):
            return self._objects.exists(_object(path))
        if path.startswith(DATASET):
            try:
                self._row(path)
            except FileNotFoundError:
                return False
            return True
        return path.startswith(DEMO) or Path(path).is_file()

    def stamp(self, path: str) -> tuple[int, int] | None:
        """Give size in bytes and time in nanoseconds of the file or files that hold a picture.

        None for pictures that never change; `OSError` where there is no such picture any more.
        """
        if path.startswith((DEMO, KEPT)):
            return None
        if path.startswith(DATASET):
            rows, _ = self._row(path)
            return rows.stamp
        stat = Path(path).stat()
        return stat.st_size, stat.st_mtime_ns

    def gone(self, entries: pa.Table) -> list[str]:
        """List the objects of pictures that are kept for a set of images, and are not there any more."""
        named = sorted(kept_objects(paths_of(entries)))
        there = {info.path for info in self._objects.list("pictures/")} if named else set()
        return [path for path in named if path not in there]

    def keep(self, data: bytes) -> str:
        """Keep the bytes of a picture in the store, and give its path."""
        key = digest.of_bytes(data)
        self._objects.put(_object(key), data)
        return f"{KEPT}{key}"

    def fetch(self, path: str, sha256: str) -> Image.Image:
        """Read and decode a picture that was added with this digest.

        Raises `UnreadablePicture`, or `PictureChanged` where the picture is gone or has other bytes now.
        """
        if sha256 == GONE:
            raise UnreadablePicture("the file was gone when its image set was last added")
        try:
            data = self.read(path)
        except OSError as error:
            raise PictureChanged(
                f"{path} cannot be read any more ({error.strerror}); "
                "add its image set again to go on without it"
            ) from error
        if digest.of_bytes(data) != sha256:
            raise PictureChanged(
                f"{path} has changed since it was added; add its image set again to take it as it is now"
            )
        return decode(data)

    def _row(self, path: str) -> tuple[DatasetRows, int]:
        """Find a row of a data set; `FileNotFoundError` where it is not there any more."""
        source, _, row = path.removeprefix(DATASET).rpartition("/")
        folder, _, split = source.rpartition("#")
        try:
            with self._lock:
                if source not in self._rows:
                    self._rows[source] = open_rows(Path(folder), split)
                rows = self._rows[source]
        except BadSource as error:
            raise FileNotFoundError(errno.ENOENT, str(error), path) from error
        if int(row) >= len(rows):
            raise FileNotFoundError(errno.ENOENT, f"the data set has {len(rows)} rows by now", path)
        return rows, int(row)


def paths_of(entries: pa.Table) -> list[str]:
    """List the paths of the pictures of a set, and of their masks."""
    columns = [name for name in ("path", MASK[0]) if name in entries.column_names]
    return [str(path) for name in columns for path in entries[name].to_pylist() if path is not None]


@lru_cache(2048)  # some 25 MB: painting one takes longer than a small model does over it
def _painted(path: str) -> bytes:
    """Paint a scene of the demo world."""
    from ...demo.digests import PAINTED

    family, _, number = path.removeprefix(DEMO).rpartition("/")
    return PAINTED[family](int(number))


def kept_objects(paths: Iterable[str]) -> set[str]:
    """List the objects that hold those pictures, of these paths, that the store keeps."""
    return {_object(path) for path in paths if path.startswith(KEPT)}


def _object(path: str) -> str:
    """Give the object that holds a picture which the store keeps."""
    return f"pictures/{path.removeprefix(KEPT).partition('/')[0]}"
