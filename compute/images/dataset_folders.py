"""Hugging Face data set folders, read row by row: what `save_to_disk` wrote, and shards of Parquet."""

from __future__ import annotations

import json
import re
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ...store.errors import BadSource
from ...store.extras import extra

_SHARD = re.compile(r"(.+)-\d{5}-of-\d{5}(-[0-9a-f]+)?")
_SPLITS = frozenset({"train", "training", "test", "testing", "validation", "valid", "val", "dev", "eval"})
"""Names of files or folders that name a split where shards are not numbered as the hub numbers them."""
_WHOLE = "dataset_dict.json"
"""The file in which `save_to_disk` lists the splits of a `DatasetDict`."""
_PART = "state.json"
"""The file that `save_to_disk` writes for each `Dataset`."""
GROUPS = ("grp", "group")
"""Columns that give an image's group."""


class DatasetRows(ABC):
    """One split of a data set: its pictures one by one, its labels and groups at once."""

    stamp: tuple[int, int]
    """How many bytes its files have together, and when the last was changed, in nanoseconds."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def picture(self, row: int) -> bytes:
        """Read a picture's bytes; none where the row has no picture. `OSError` where a file is gone."""

    @abstractmethod
    def labels(self) -> Sequence[str | None]:
        """Give the class of each row, by its name where the data set names its classes."""

    @abstractmethod
    def groups(self) -> Sequence[str | None]:
        """Give the group of each row, from a column `grp` or `group`."""


def is_dataset(root: Path) -> bool:
    """Tell whether a folder is a data set, or a file one shard of it; it may hold pictures as well."""
    if root.is_dir() and any((root / name).is_file() for name in (_WHOLE, _PART)):
        return True
    shard = next(iter(_files(root)), None)
    if shard is None:
        return False
    from .dataset_shards import image_columns

    return bool(image_columns(shard))


def splits(root: Path) -> list[str]:
    """List the splits of a data set; one empty name stands for a data set without splits."""
    if (root / _WHOLE).is_file():
        return list(json.loads((root / _WHOLE).read_text())["splits"])
    return [""] if (root / _PART).is_file() else sorted(_shards(root))


def open_rows(root: Path, split: str) -> DatasetRows:
    """Open one split of a data set; an empty name takes the only one.

    Raises:
        BadSource: There is no data set, no such split, several where none is named, no column of pictures,
            or more than one.
        MissingExtra: It was written by `save_to_disk`, and the library `datasets` is not installed.
    """
    if not is_dataset(root):
        raise BadSource(f"{root} holds no data set: neither what save_to_disk wrote nor shards of Parquet")
    known = splits(root)
    if not split and len(known) > 1:
        raise BadSource(f"{root} has the splits {', '.join(known)}; name one as {root}#{known[0]}")
    if split and split not in known:
        there = f"it has {', '.join(known)}" if known != [""] else "it has no splits"
        raise BadSource(f"{root} has no split {split!r}; {there}")
    name = split or known[0]
    if (root / _WHOLE).is_file() or (root / _PART).is_file():
        return _Saved(root / name)
    from .dataset_shards import Shards

    return Shards(root, _shards(root)[name])


class _Saved(DatasetRows):
    """What `datasets.Dataset.save_to_disk` wrote; its files are mapped to memory, not read."""

    def __init__(self, folder: Path) -> None:
        datasets = extra("datasets")
        try:
            self._data = datasets.load_from_disk(str(folder))
        except Exception as error:  # whatever a damaged folder leads the library to
            raise BadSource(f"{folder} cannot be read as a data set ({error})") from error
        images = [name for name, each in self._data.features.items() if isinstance(each, datasets.Image)]
        column = only_column(folder, images)
        plain = self._data.select_columns([column]).with_format(None)
        self._pictures, self._column = plain.cast_column(column, datasets.Image(decode=False)), column
        self._folder, self._lock = folder, threading.Lock()
        self.stamp = stamp_of(folder.glob("*.arrow"))

    def __len__(self) -> int:
        return int(self._data.num_rows)

    def picture(self, row: int) -> bytes:
        with self._lock:
            found = self._pictures[row][self._column]
        return bytes_of(found, self._folder)

    def labels(self) -> Sequence[str | None]:
        names = getattr(self._data.features.get("label"), "names", None)
        return named(self._values("label"), names)

    def groups(self) -> Sequence[str | None]:
        column = next((name for name in GROUPS if name in self._data.column_names), GROUPS[0])
        return named(self._values(column), getattr(self._data.features.get(column), "names", None))

    def _values(self, column: str) -> list[Any]:
        if column not in self._data.column_names:
            return [None] * len(self)
        return list(self._data.select_columns([column]).with_format(None)[:][column])


def only_column(place: Path, columns: Sequence[str]) -> str:
    """Choose the column of pictures: the only one, or the one called `image`."""
    if len(columns) == 1 or "image" in columns:
        return "image" if "image" in columns else columns[0]
    there = f"several columns of pictures ({', '.join(columns)})" if columns else "no column of pictures"
    raise BadSource(f"{place} has {there}; one of them, called image, is what is read")


def bytes_of(found: dict[str, Any] | None, folder: Path) -> bytes:
    """Give the bytes of a picture that a row has or whose file it names; none where it has neither."""
    if found is None or (found["bytes"] is None and found["path"] is None):
        return b""
    return bytes(found["bytes"]) if found["bytes"] is not None else (folder / found["path"]).read_bytes()


def named(values: Iterable[Any], names: Sequence[str] | None) -> list[str | None]:
    """Write values as text, integers by the names of their classes; -1 stands for none, as on the hub."""
    if names is None:
        return [None if value is None or value == "" else str(value) for value in values]
    return [names[value] if value is not None and value >= 0 else None for value in values]


def stamp_of(files: Iterable[Path]) -> tuple[int, int]:
    """Give how many bytes files have together, and when the last was changed."""
    stats = [file.stat() for file in files]
    return sum(each.st_size for each in stats), max((each.st_mtime_ns for each in stats), default=0)


def _files(root: Path) -> list[Path]:
    """List the Parquet files of a folder, or the one that is meant, in their order."""
    if root.is_file():
        return [root] if root.suffix.lower() == ".parquet" else []
    found = root.rglob("*.parquet") if root.is_dir() else ()
    return sorted(each for each in found if not any(part[0] == "." for part in each.relative_to(root).parts))


def _shards(root: Path) -> dict[str, list[Path]]:
    """Sort the shards of a folder by their split, which their names or folders tell."""
    found: dict[str, list[Path]] = {}
    for file in _files(root):
        found.setdefault(_split(file.relative_to(root) if file != root else Path()), []).append(file)
    return found


def _split(place: Path) -> str:
    """Name the split of a shard by its place below the root.

    >>> _split(Path("data/train-00000-of-00002.parquet")), _split(Path("default/test/0000.parquet"))
    ('train', 'default/test')
    """
    folders = [part for part in place.parts[:-1] if part != "data"]
    numbered = _SHARD.fullmatch(place.stem)
    if numbered:
        folders.append(numbered.group(1))
    elif place.stem in _SPLITS:
        folders.append(place.stem)
    return "/".join(folders)
