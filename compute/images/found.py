"""A picture that a source names, before it is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Tick = Callable[[int, int], None]
"""Told how many of how many are done."""
Row = dict[str, Any]
"""One picture's entry in a set, by column."""


@dataclass(frozen=True, slots=True)
class Found:
    """A picture that a source names."""

    path: str
    """Its absolute path, or what `compute/images/pictures.py` knows it by."""
    label: str | None = None
    """Its class, where the source gives one."""
    grp: str | None = None
    """Its group, where the source gives one."""
    facts: Mapping[str, Any] | None = None
    """Its digest, width, height, size and time, where the source knows them, so that it is not read."""
    mask: str | None = None
    """Where its mask lies, where the source gives one; as its own path is written."""
    concepts: str | None = None
    """What each number in its mask stands for, as JSON, where that was said."""
