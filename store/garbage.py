"""What no unit, no name and no living process needs, and how it is removed without hurting any of them.

A record must never stand without its data. The writer of an attempt (`records.py`) says that it is
present, writes the data, puts the record, and looks whether it is still said to be present. `find` lists the
data, then reads who is present, takes the word of the dead away, and lists the records last; data are litter
if their writer is not among the living and no record names them.

* A writer that ended, or died, before it was looked for had put its record by then, or never will: the
  list of records, which is made later, decides.
* A writer that lives is left alone. It came before its data, so nobody whose data are listed is overlooked.
* A writer that was taken for dead and lives (of another machine, silent for a day; clocks may be wrong)
  finds its word gone after it has put the record, withdraws that, and makes another attempt. Had it found its
  word, the record would have been there before the word was taken away, so before the records were listed.

Where a record goes, it goes before its data. So a kill at any instant leaves data without a record, claims,
or words of the dead: all of them are found again the next time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from .claims import LAPSED
from .folder import Folder
from .objects import ObjectInfo, Objects
from .presence import present
from .records import Record
from .sealed import unseal
from .strays import Stray

GRACE = 60.0
"""Seconds for which what another process may be about to need is left alone."""
Kind = Literal[
    "attempts",
    "damaged",
    "claims",
    "writers",
    "temporary",
    "sets",
    "pictures",
    "imports",
    "units",
    "dropped",
]
"""What is collected: units only where that is asked for."""


@dataclass(frozen=True, slots=True)
class Litter:
    """Something to be removed as a whole."""

    kind: Kind
    """What it is."""
    paths: tuple[str, ...]
    """Its objects, in the order in which they are removed."""
    size: int
    """Its bytes."""
    stray: Stray | None = None
    """The file or folder that it is, where that is no object."""
    attempt: str | None = None
    """Of a unit that is given up: the attempt that its record has to name, or else it stays."""
    lapsed: bool = False
    """Whether it is a claim that another process may have made its own by now."""


@dataclass(frozen=True, slots=True)
class Found:
    """What was found in a store."""

    litter: tuple[Litter, ...]
    """What nobody needs."""
    units: Mapping[str, ObjectInfo]
    """The records that there are, by the keys of their units."""
    began: datetime | None
    """When the first of the writers that live said so; None where none does."""
    grace: float
    """Seconds for which other things are left alone."""

    def young(self, modified: datetime) -> bool:
        """Tell whether something last written then may be about to be needed."""
        return self.grace > 0 and datetime.now(UTC) - modified < timedelta(seconds=self.grace)


def find(folder: Folder, *, grace: float, dry_run: bool) -> Found:
    """List what nobody needs, in an order that makes it safe to remove; the words of the dead go at once."""
    objects = folder.objects
    strays, damaged = objects.strays(), list(objects.list("damaged/"))
    aside = [info for info in objects.list("claims/") if info.path.startswith(LAPSED)]
    claims = [info for info in objects.list("claims/") if not info.path.startswith(LAPSED)]
    attempts = _by_attempt(objects.list("data/"))
    there = present(objects)
    dead = [each.info for each in there if not each.alive]
    if not dry_run:
        for info in dead:
            objects.delete(info.path)
    alive = {each.token: each.info.modified for each in there if each.alive}
    units = {_last(info.path): info for info in objects.list("units/")}
    found = Found((), units, min(alive.values(), default=None), max(grace, GRACE) if alive else grace)
    litter = [
        *(Litter("writers", (info.path,), info.size) for info in dead),
        *(Litter("temporary", (each.path,), each.size, each) for each in strays if _idle(each, alive, found)),
        *_damaged(objects, damaged, attempts, units),
        *_attempts(objects, attempts, units, alive.keys()),
        *_claims(folder, claims, units),
        *(Litter("temporary", (info.path,), info.size) for info in aside if not found.young(info.modified)),
    ]
    return replace(found, litter=tuple(_once(litter)))


def _by_attempt(infos: Iterable[ObjectInfo]) -> dict[str, list[ObjectInfo]]:
    """Sort data objects by the attempt that they are of: `data/VIEW/KE/KEY.TOKEN-…`."""
    found: dict[str, list[ObjectInfo]] = defaultdict(list)
    for info in infos:
        found[_attempt(info.path)].append(info)
    return found


def _damaged(
    objects: Objects,
    aside: Iterable[ObjectInfo],
    attempts: Mapping[str, Sequence[ObjectInfo]],
    units: Mapping[str, ObjectInfo],
) -> Iterator[Litter]:
    """Records that were set aside, each with its data: no record will be put for them again."""
    for info in aside:
        record = _record(objects, info.path)
        data = attempts.get(record.attempt, ()) if record else ()
        again = units.get(record.unit) if record else None
        if record and again and record.attempt in _named(objects, again, [record.attempt]):
            data = ()
        yield Litter(
            "damaged", (info.path, *(each.path for each in data)), info.size + sum(d.size for d in data)
        )


def _attempts(
    objects: Objects,
    attempts: Mapping[str, Sequence[ObjectInfo]],
    units: Mapping[str, ObjectInfo],
    alive: Set[str],
) -> Iterator[Litter]:
    """Data of writers that are gone, which no record names."""
    by_key: dict[str, list[str]] = defaultdict(list)
    for attempt in attempts:
        by_key[_last(attempt).partition(".")[0]].append(attempt)
    for key, several in by_key.items():
        named: Sequence[str] = several if key in units else ()
        if key in units and len(several) > 1:
            named = _named(objects, units[key], several)
        for attempt in several:
            if attempt not in named and _token(attempt) not in alive:
                data = attempts[attempt]
                yield Litter("attempts", tuple(each.path for each in data), sum(each.size for each in data))


def _named(objects: Objects, unit: ObjectInfo, attempts: Sequence[str]) -> Sequence[str]:
    """Give which attempts a unit's record may name: all, where it cannot be read (`verify` finds that)."""
    record = _record(objects, unit.path)
    return attempts if record is None else [record.attempt]


def _claims(
    folder: Folder, claims: Iterable[ObjectInfo], units: Mapping[str, ObjectInfo]
) -> Iterator[Litter]:
    """Claims on units that are done, and those that hold nobody up any more."""
    mine = folder.claims()
    for info in claims:
        done = _last(info.path) in units
        if done or mine.has_lapsed(info.path):
            yield Litter("claims", (info.path,), info.size, lapsed=not done)


def _idle(stray: Stray, alive: Collection[str], found: Found) -> bool:
    """Tell whether nobody is about to finish a stray."""
    if stray.path.startswith("data/"):
        return _token(_attempt(stray.path)) not in alive
    return not any(token in stray.path for token in alive) and not found.young(stray.modified)


def _once(litter: Iterable[Litter]) -> Iterator[Litter]:
    """Leave out what is found a second time: data both of a record set aside and of none."""
    seen: set[str] = set()
    for each in litter:
        paths = tuple(path for path in each.paths if path not in seen)
        seen.update(paths)
        if paths:
            yield replace(each, paths=paths)


def _record(objects: Objects, path: str) -> Record | None:
    try:
        return Record.from_json(objects.get(path))
    except (FileNotFoundError, ValueError):
        return None


def facts_of(objects: Objects, path: str) -> dict[str, Any] | None:
    """Read a version of a name, or a recipe; None where it cannot be read or its bytes changed."""
    try:
        return unseal(objects.get(path))
    except (FileNotFoundError, ValueError):
        return None


def _last(path: str) -> str:
    return path.rpartition("/")[2].removesuffix(".json")


def _attempt(path: str) -> str:
    return "/".join(path.split("/")[:4])


def _token(attempt: str) -> str:
    return _last(attempt).partition(".")[2].partition("-")[0]


def remove(folder: Folder, litter: Litter) -> None:
    """Remove something that nobody needs."""
    if litter.stray is not None:
        folder.objects.clear(litter.stray)
    elif litter.lapsed:
        folder.claims().clear(litter.paths[0])
    elif litter.attempt is None or _attempt_of(folder, litter.paths[0]) == litter.attempt:
        for path in litter.paths:
            folder.objects.delete(path)
    for attempt in {_attempt(path) for path in litter.paths if path.startswith("data/")}:
        folder.objects.clear(Stray(attempt, 0, datetime.now(UTC)))  # its folder, if it is empty now


def evicted(path: str, record: Record) -> Litter:
    """Give a unit as something to be removed: the record first, then its data."""
    data = (f"{record.attempt}/{kept.path}" for kept in record.objects)
    return Litter("units", (path, *data), record.nbytes, attempt=record.attempt)


def _attempt_of(folder: Folder, path: str) -> str | None:
    """Look which attempt a record names now: a unit may have been set aside and filled again meanwhile."""
    record = _record(folder.objects, path)
    return None if record is None else record.attempt


def sets_of_names(objects: Objects) -> set[str] | None:
    """List the sets that any version of a name needs; None where one cannot be read, or its set is gone."""
    needed = set()
    for kind in ("images", "texts"):
        for info in objects.list(f"names/{kind}/"):
            facts = facts_of(objects, info.path)
            if facts is None or ("entries" in facts) == ("removed" in facts):
                return None
            if "entries" in facts:
                needed.add(f"sets/{facts['entries']}.parquet")
    return needed if needed <= {info.path for info in objects.list("sets/")} else None


def unneeded(
    objects: Objects,
    kind: Literal["sets", "pictures", "imports"],
    listed: Sequence[ObjectInfo],
    needed: Set[str],
    found: Found,
) -> Iterator[Litter]:
    """List what nothing needs; `listed` was made before anything else was looked at."""
    for info in listed:
        late = found.began is not None and info.modified >= found.began
        if info.path not in needed and not late and not found.young(info.modified):
            yield Litter(kind, (info.path,), info.size)
