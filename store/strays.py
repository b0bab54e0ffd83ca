"""What lies in a store's folder and is no object: files half written, and empty folders of attempts."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

_STAGED = re.compile(r".+#\d+")
"""What obstore calls a file until it is whole; it leaves it out of listings."""
_CATALOG = re.compile(r"catalog\.duckdb\..+\.tmp(\..+)?")
"""A snapshot that is being made, and what DuckDB has beside it."""
_PARTIAL = re.compile(r"\.(?P<name>.+)\.[0-9a-f]+\.part")
"""An export that is being written into the store's folder (`placing.py`)."""

_REPLACED = re.compile(r"\.(?P<name>.+)\.[0-9a-f]+\.old")
"""What such an export takes the place of; while it is there, the new one may be the only whole copy."""


@dataclass(frozen=True, slots=True)
class Stray:
    """A file that is no object, a partial export, or the empty folder of an attempt."""

    path: str
    """Its path below the root, with slashes."""
    size: int
    """Its bytes."""
    modified: datetime
    """When it was last written to."""


def strays(root: Path) -> list[Stray]:
    """List all strays of a store; what goes away meanwhile is passed over."""
    return [*_at_the_top(root), *_staged(root), *_empty(root)]


def _at_the_top(root: Path) -> Iterator[Stray]:
    names = os.listdir(root)
    replaced = {found["name"] for found in map(_REPLACED.fullmatch, names) if found}
    for name in names:
        partial = _PARTIAL.fullmatch(name)
        if _CATALOG.fullmatch(name) or (partial and partial["name"] not in replaced):
            with suppress(FileNotFoundError):
                yield _stray(root, root / name)


def _staged(root: Path) -> Iterator[Stray]:
    for folder, _, files in os.walk(root):
        for name in files:
            if _STAGED.fullmatch(name):
                with suppress(FileNotFoundError):
                    yield _stray(root, Path(folder, name))


def _empty(root: Path) -> Iterator[Stray]:
    """List the folders of attempts that hold no file; `data/VIEW/KE/` itself may get another attempt."""
    for attempt in (root / "data").glob("*/*/*"):
        if not any(files for _, _, files in os.walk(attempt)):
            with suppress(FileNotFoundError):
                yield Stray(attempt.relative_to(root).as_posix(), 0, _time(attempt))


def _stray(root: Path, path: Path) -> Stray:
    inside = [path, *(path.rglob("*") if path.is_dir() else ())]
    size = sum(each.stat().st_size for each in inside if each.is_file())
    return Stray(path.relative_to(root).as_posix(), size, max(map(_time, inside)))


def _time(path: Path) -> datetime:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)


def clear(root: Path, stray: Stray) -> None:
    """Remove a stray; an attempt's folder only if it is still empty."""
    path = root / stray.path
    with suppress(FileNotFoundError):
        if not path.is_dir():
            path.unlink()
        elif stray.path.startswith("data/"):
            for folder, _, _ in os.walk(path, topdown=False):
                with suppress(OSError):
                    os.rmdir(folder)
        else:
            shutil.rmtree(path)
