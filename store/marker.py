"""The marker that makes a folder a store: checked when one is opened, written when one is made."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, get_args

from .errors import BadSource, DamagedObject, NewerFormat, NotAStore, OlderFormat, ReadOnlyStore
from .objects import CHANGED, Objects
from .sealed import seal, unseal

Mode = Literal["a", "r"]
"""How a store is opened: to fill it, or to read it."""
FORMAT = 2
"""The layout that this version writes, the only one that it reads."""
MARKER = "belvedere.json"
"""The object that makes a folder a store."""


def check(root: Path, mode: Mode, *, memory: bool = False) -> None:
    """Check the marker of a store, or with mode "a" write one into a folder that is new or empty.

    Raises `NotAStore` for a folder with other things in it, and with mode "r" for one without a store;
    `NewerFormat` and `OlderFormat` for a store of another version's format; `DamagedObject` for a marker
    whose bytes changed; `BadSource` for another mode, or `memory` with mode "a".
    """
    if mode not in get_args(Mode):
        raise BadSource(
            f'mode {mode!r} is not known: "a" opens a store, or makes one in a new or empty folder; '
            '"r" opens one to read'
        )
    if memory and mode == "a":
        raise BadSource(
            'memory=True goes with mode="r": what is computed then stays in memory; mode="a" keeps it on disk'
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
    found = _format(marker)
    if found > FORMAT:
        raise NewerFormat(f"{root} has format {found}; this version reads {FORMAT}: use a newer Belvedere")
    if found < FORMAT:
        raise OlderFormat(
            f"{root} has format {found}; this version reads {FORMAT}: use the Belvedere that wrote it, "
            "or add models and images to a new store"
        )


def writable(root: Path) -> bool:
    """Tell whether this process may write into a store's folder, as far as the system says beforehand."""
    return os.access(root, os.W_OK | os.X_OK)


def _format(marker: Path) -> int:
    """Read the number of the format; `DamagedObject` for a marker that is not as it was written."""
    data = marker.read_bytes()
    try:
        return int(unseal(data)["format"])
    except (ValueError, KeyError, TypeError) as error:
        facts = _unsealed(data)
        if facts is not None and facts != FORMAT:
            return facts
        remedy = "put the one of another store that this version made in its place: they differ in their date"
        raise DamagedObject(str(marker), CHANGED, remedy) from error


def _unsealed(data: bytes) -> int | None:
    """Read the number in a marker without a seal, as the first format had it."""
    try:
        facts = json.loads(data)
        return int(facts["format"]) if "sha256" not in facts else None
    except (ValueError, KeyError, TypeError):
        return None


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
    Objects(root).create(MARKER, seal(facts))
