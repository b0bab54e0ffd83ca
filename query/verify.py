"""Reads what is kept, and says what is not as it was written."""

from __future__ import annotations

from dataclasses import dataclass

from ..store.folder import Folder
from ..store.records import Record


@dataclass(frozen=True, slots=True)
class Damage:
    """One object that is not what its record says."""

    view: str
    """The view whose unit it belongs to."""
    unit: str
    """The unit's key."""
    path: str
    """The object."""
    what: str
    """What is wrong with it."""


@dataclass(frozen=True, slots=True)
class Verified:
    """What a verification found."""

    units: int
    """Units whose objects were read."""
    bytes: int
    """Bytes that were read."""
    damage: tuple[Damage, ...]
    """Everything that is not as it was written; its units count as missing now."""


def verify(folder: Folder) -> Verified:
    """Read every object of every finished unit; set aside the records of units that are damaged."""
    units, total = 0, 0
    found: list[Damage] = []
    for info in sorted(folder.objects.list("units/"), key=lambda info: info.path):
        view = info.path.split("/")[1]
        units += 1
        try:
            record = Record.from_json(folder.objects.get(info.path))
        except (ValueError, TypeError, KeyError):
            key = info.path.rsplit("/", 1)[-1].removesuffix(".json")
            bad = [Damage(view, key, info.path, "the record cannot be read")]
        else:
            total += record.nbytes
            damage = folder.records.damage(record)
            bad = [Damage(view, record.unit, path, what) for path, what in damage]
        if bad and folder.writable:
            folder.records.set_aside(info.path)
        found += bad
    return Verified(units, total, tuple(found))
