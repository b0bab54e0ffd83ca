"""Where the store is that a command means: named, or in or above the working directory."""

from __future__ import annotations

from pathlib import Path

from ..store.errors import NotAStore
from ..store.marker import MARKER

HINT = "belvedere add images NAME SOURCE --store DIR makes one"


def locate(folder: Path | None = None) -> Path:
    """Find a store that is there: the folder that is named, or the first from the working directory up.

    Raises `NotAStore` where there is none.
    """
    if folder is not None:
        if not (folder.expanduser() / MARKER).is_file():
            raise NotAStore(f"{folder} holds no Belvedere store (there is no {MARKER} in it); {HINT}")
        return folder
    here = Path.cwd()
    for each in (here, *here.parents):
        if (each / MARKER).is_file():
            return each
    raise NotAStore(f"no Belvedere store in {here} or above it; name one with --store DIR, or {HINT}")
