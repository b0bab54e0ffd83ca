"""Digests of the pictures of the demo's image sets, kept so that nobody waits for 2,000 paintings.

`python -m belvedere.demo.digests` paints them all and writes the digests anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType

from .crossed import crossed_png
from .scenes import scene

DATA = Path(__file__).parent / "data" / "digests"
COUNT = 2000
"""Pictures of each set."""
_LENGTH = 32


def _scene_png(index: int) -> bytes:
    return scene(index).png()


PAINTED: Mapping[str, Callable[[int], bytes]] = MappingProxyType(
    {"scenes": _scene_png, "crossed": crossed_png}
)
"""The sets, each with what paints its pictures as PNG files."""


@cache
def digests(name: str) -> tuple[str, ...]:
    """Return the SHA-256 of every picture's PNG file, as hexadecimal digits."""
    known = (DATA / f"{name}.sha256").read_bytes()
    return tuple(known[start : start + _LENGTH].hex() for start in range(0, len(known), _LENGTH))


def main() -> None:
    """Paint all pictures and write their digests down, as raw bytes one after the other."""
    DATA.mkdir(exist_ok=True)
    for name, png in PAINTED.items():
        found = b"".join(sha256(png(index)).digest() for index in range(COUNT))
        (DATA / f"{name}.sha256").write_bytes(found)
        print(f"{name}: {COUNT:,} pictures")


if __name__ == "__main__":
    main()
