"""An opened store: one folder, its objects, and what they mean."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from .claims import Claims
from .errors import NewerFormat, NotAStore, ReadOnlyStore
from .failures import Failures
from .objects import Objects
from .records import Records
from .registry import Registry

FORMAT = 1
"""The layout that this version writes; a store of a later one is refused."""
MARKER = "belvedere.json"
"""The object that makes a folder a store."""


class Folder:
    """One store on disk, as the layers above use it."""

    def __init__(self, root: Path, mode: Literal["a", "r"]) -> None:
        _prepare(root, mode)
        self.root = root.resolve()
        self.objects = Objects(self.root, read_only=mode == "r")
        self.names = Registry(self.objects)
        self.records = Records(self.objects)
        self.failures = Failures(self.objects)

    @property
    def writable(self) -> bool:
        """Whether it was opened to be filled."""
        return not self.objects.read_only

    def claims(self) -> Claims:
        """Give a fresh set of claims, for one run."""
        return Claims(self.objects)


def _prepare(root: Path, mode: Literal["a", "r"]) -> None:
    """Check the marker, or write one into a folder that is new or empty."""
    marker = root / MARKER
    if not marker.is_file():
        if mode == "r":
            raise NotAStore(f"{root} holds no Belvedere store (there is no {MARKER} in it)")
        if root.exists() and (not root.is_dir() or any(root.iterdir())):
            what = "a folder with other things in it" if root.is_dir() else "a file"
            raise NotAStore(
                f"{root} holds no Belvedere store but is {what}; name a new or an empty folder to make one"
            )
        _create(root)
    try:
        found = json.loads(marker.read_bytes())["format"]
    except (ValueError, KeyError, TypeError):
        raise NotAStore(f"{marker} is not readable as the marker of a Belvedere store") from None
    if found > FORMAT:
        raise NewerFormat(
            f"{root} has format {found}; this version reads up to {FORMAT}: use a newer Belvedere"
        )


def _create(root: Path) -> None:
    try:
        root.mkdir(parents=True, exist_ok=True)
    except PermissionError as error:
        raise ReadOnlyStore(f"{root} cannot be made: permission denied") from error
    facts = {"format": FORMAT, "created": datetime.now(UTC).isoformat(timespec="seconds")}
    Objects(root).create(MARKER, json.dumps(facts).encode())
