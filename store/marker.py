"""The marker that makes a folder a store: checked when one is opened, written when one is made."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, get_args

from .errors import BadSource, NewerFormat, NotAStore, ReadOnlyStore
from .objects import Objects

Mode = Literal["a", "r"]
"""How a store is opened: to fill it, or to read it."""
FORMAT = 1
"""The layout that this version writes; a store of a later one is refused."""
MARKER = "belvedere.json"
"""The object that makes a folder a store."""


def check(root: Path, mode: Mode) -> None:
    """Check the marker of a store, or with mode "a" write one into a folder that is new or empty.

    Raises `NotAStore` for a folder with other things in it, and with mode "r" for one without a store;
    `NewerFormat` for a store of a later version; `BadSource` for another mode.
    """
    if mode not in get_args(Mode):
        raise BadSource(
            f'mode {mode!r} is not known: "a" opens a store, or makes one in a new or empty folder; '
            '"r" opens one to read'
        )
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
        found = int(json.loads(marker.read_bytes())["format"])
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
    except (FileExistsError, NotADirectoryError) as error:
        raise NotAStore(f"{root} cannot be made: a file lies on the way") from error
    except OSError as error:
        raise NotAStore(f"{root} cannot be made: {error.strerror}") from error
    facts = {"format": FORMAT, "created": datetime.now(UTC).isoformat(timespec="seconds")}
    Objects(root).create(MARKER, json.dumps(facts).encode())
