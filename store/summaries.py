"""Summaries of records: what is told of many units at once, without a read for each of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .errors import DamagedUnit, StoreError
from .objects import ObjectInfo, Objects
from .sealed import seal, unseal

if TYPE_CHECKING:
    from .records import Record

UNSAVED = 128
"""A summary is looked for where so many records are unknown, and written where so many had to be read."""
_MADE = ("seconds", "device", "host", "run", "time")
_SPAN = ("start", "stop")
_COLUMNS = ("unit", "size", "modified", "bytes", "absent", *_SPAN, "seconds", "time", "about")

Stamp = tuple[int, int]
"""What a listing says of a record: its length in bytes, and when it was put, in microseconds."""


@dataclass(frozen=True, slots=True)
class Brief:
    """What a summary has of one unit's record."""

    unit: str
    """The unit's key."""
    nbytes: int
    """How many bytes its data objects take."""
    absent: int
    """How many of its rows could not be read."""
    covers: Mapping[str, Any]
    """The names, axis and span that it was made for."""
    made: Mapping[str, Any]
    """Its seconds, device, host, run and time."""


Stamped = dict[str, tuple[Stamp, Brief]]
"""Briefs by their units' keys, each with the stamp of the record that it is of."""


class Summaries:
    """The briefs of one store's records, each good for as long as a listing shows the record it is of.

    Derived, and so never needed: a summary that is not there, or whose bytes changed, is made again from the
    records. Of several processes that write one at once, the last wins, and any of them is right.
    """

    def __init__(self, objects: Objects, read: Callable[[str], Record]) -> None:
        """Read records with `read`, by their paths."""
        self._objects, self._read = objects, read
        self._known: dict[str, Stamped] = {}
        self._lock = threading.Lock()

    def of(self, recipe: str) -> dict[str, Brief]:
        """Give the briefs of the units that are done of one recipe, `VIEW/RECIPE`, by key: one listing."""
        return self._matched(recipe, self._objects.list(f"units/{recipe}/"))

    def all(self) -> Iterator[tuple[str, Brief]]:
        """Give the briefs of all units that are done, by their records' paths, in order: one listing."""
        there: dict[str, list[ObjectInfo]] = {}
        for info in self._objects.list("units/"):
            there.setdefault(info.path.removeprefix("units/").rpartition("/")[0], []).append(info)
        for recipe in sorted(there):
            found = self._matched(recipe, there[recipe])
            yield from ((f"units/{recipe}/{key}.json", found[key]) for key in sorted(found))

    def _matched(self, recipe: str, listed: Iterable[ObjectInfo]) -> dict[str, Brief]:
        """Give the briefs of the records that are listed, once those that are not known have been read."""
        stamps = {
            info.path.rpartition("/")[2].removesuffix(".json"): _stamp(info)
            for info in listed
            if info.path.endswith(".json")
        }
        with self._lock:
            before = self._known.get(recipe, {})
            known = {key: before[key] for key, stamp in stamps.items() if _holds(before, key, stamp)}
            if len(known) < len(stamps):
                self._learn(recipe, known, stamps)
            self._known[recipe] = known
        return {key: brief for key, (_, brief) in known.items()}

    def _learn(self, recipe: str, known: Stamped, stamps: Mapping[str, Stamp]) -> None:
        """Take what the summary has, read the records that it lacks, and write it anew if those are many."""
        whole = True
        if len(stamps) - len(known) >= UNSAVED:
            saved, whole = self._load(recipe)
            lacking = ((key, stamp) for key, stamp in stamps.items() if key not in known)
            known.update({key: saved[key] for key, stamp in lacking if _holds(saved, key, stamp)})
        unsaved = [key for key in stamps if key not in known]
        for key in unsaved:
            with suppress(DamagedUnit, FileNotFoundError):  # set aside: the unit counts as missing
                known[key] = stamps[key], _brief(self._read(f"units/{recipe}/{key}.json"))
        if (len(unsaved) >= UNSAVED or not whole) and not self._objects.read_only:
            with suppress(StoreError):  # a summary that cannot be written is done without
                self._objects.put(f"summaries/{recipe}.json", seal(_packed(known)))

    def _load(self, recipe: str) -> tuple[Stamped, bool]:
        """Read a summary, and tell that its bytes did not change; of one that cannot be had none did."""
        try:
            return _unpacked(unseal(self._objects.get(f"summaries/{recipe}.json"))), True
        except (FileNotFoundError, StoreError):
            return {}, True
        except (ValueError, KeyError, TypeError, IndexError):
            return {}, False


def _holds(found: Stamped, key: str, stamp: Stamp) -> bool:
    """Tell whether a brief is of the record that a listing shows."""
    return key in found and found[key][0] == stamp


def _stamp(info: ObjectInfo) -> Stamp:
    return info.size, round(info.modified.timestamp() * 1e6)


def _brief(record: Record) -> Brief:
    made = {name: record.made.get(name) for name in _MADE}
    return Brief(record.unit, record.nbytes, len(record.absent), record.covers, made)


def _packed(found: Stamped) -> dict[str, Any]:
    """Write briefs as columns; what many units have in common is written once, as `about`."""
    columns: dict[str, list[Any]] = {name: [] for name in _COLUMNS}
    about: dict[str, tuple[int, Any]] = {}
    for key, ((size, modified), brief) in found.items():
        covers = {name: value for name, value in brief.covers.items() if name not in _SPAN}
        made = {name: brief.made[name] for name in ("device", "host", "run")}
        place, _ = about.setdefault(repr((covers, made)), (len(about), {"covers": covers, "made": made}))
        row = (key, size, modified, brief.nbytes, brief.absent, brief.covers["start"], brief.covers["stop"])
        values = (*row, brief.made["seconds"], brief.made["time"], place)
        for name, value in zip(_COLUMNS, values, strict=True):
            columns[name].append(value)
    return {"columns": columns, "abouts": [each for _, each in about.values()]}


def _unpacked(facts: Mapping[str, Any]) -> Stamped:
    """Make the briefs of what `_packed` wrote."""
    found, abouts = {}, facts["abouts"]
    rows = zip(*(facts["columns"][name] for name in _COLUMNS), strict=True)
    for key, size, modified, nbytes, absent, start, stop, seconds, time, place in rows:
        covers = {**abouts[place]["covers"], "start": start, "stop": stop}
        made = {**abouts[place]["made"], "seconds": seconds, "time": time}
        found[key] = (size, modified), Brief(key, nbytes, absent, covers, made)
    return found
