"""Reads all units, sets and kept pictures, and says what of them is not as it was written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from ..compute.pictures import Pictures
from ..store.errors import DamagedUnit, StoreError
from ..store.folder import Folder
from ..store.sets import ImageSet


@dataclass(frozen=True, slots=True)
class Damage:
    """One object that is not what its record says."""

    view: str
    """The view whose unit it belongs to; `sets` for a list, `pictures` for a picture that is kept."""
    unit: str
    """The unit's key, or the digest that the list or the picture was kept under."""
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
    """What is not as it was written; units among it count as missing now, unless the store is only read."""


def _readable(folder: Folder) -> Iterator[ImageSet]:
    """Give the image sets whose lists are whole; the others are damage themselves."""
    for name in folder.names.image_sets():
        with suppress(StoreError):
            yield folder.names.image_set(name)


def verify(folder: Folder) -> Verified:
    """Read the record and the data of every unit, all sets, all pictures kept; set aside damaged units."""
    units, total = 0, 0
    found: list[Damage] = []
    for info in sorted(folder.objects.list("units/"), key=lambda info: info.path):
        view = info.path.split("/")[1]
        try:
            record = folder.records.read(info.path)
        except FileNotFoundError:  # another process set it aside after the listing
            continue
        except DamagedUnit as error:
            bad = list(error.objects)
        else:
            total += record.nbytes
            bad = folder.records.check(info.path, record)
        units += 1
        key = info.path.rsplit("/", 1)[-1].removesuffix(".json")
        found += [Damage(view, key, *each.split(": ", 1)) for each in bad]
    for path in folder.names.damaged_sets():
        key = path.removeprefix("sets/").removesuffix(".parquet")
        found.append(Damage("sets", key, path, "its bytes changed"))
    for path, what in Pictures(folder.objects).damage(_readable(folder)):
        found.append(Damage("pictures", path.rpartition("/")[2], path, what))
    return Verified(units, total, tuple(found))
