"""Sizes and durations as people write them: 2GB, 500MB, 30d, 12h."""

from __future__ import annotations

import re

from ..store.errors import BadSource

_BYTES = {
    "": 1,
    "B": 1,
    **{name: 1000**power for power, name in enumerate(("kB", "MB", "GB", "TB"), 1)},
    **{name: 1024**power for power, name in enumerate(("KiB", "MiB", "GiB", "TiB"), 1)},
}
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}


def bytes_of(size: int | str) -> int:
    """Read a number of bytes; `BadSource` says how one is written.

    >>> bytes_of("2GB"), bytes_of("1.5 kb"), bytes_of(10)
    (2000000000, 1500, 10)
    """
    return int(_read(size, "a size", _BYTES, "500MB, 2GB, 1GiB or 1000000"))


def seconds_of(duration: float | str) -> float:
    """Read a number of seconds; `BadSource` says how one is written.

    >>> seconds_of("30d"), seconds_of("90m"), seconds_of(2.5)
    (2592000.0, 5400.0, 2.5)
    """
    return _read(duration, "a duration", _SECONDS, "30d, 12h, 15m or 60")


def _read(given: float | str, what: str, units: dict[str, int], examples: str) -> float:
    known = {name.lower(): factor for name, factor in units.items()}
    parts = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", str(given))
    if parts is None or parts[2].lower() not in known:
        raise BadSource(f"{given!r} is not {what}; write one as {examples}")
    return float(parts[1]) * known[parts[2].lower()]
