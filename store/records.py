"""The record of a unit: put last, once, and the only evidence that the unit is done."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from . import digest
from .errors import DamagedUnit, StoreError
from .objects import Objects
from .presence import Presence
from .sealed import seal, unseal
from .sets import Model
from .summaries import Brief, Summaries
from .views import Unit, View

Place = tuple[int | str | None, ...]
"""Where a unit begins, and the names of the model, the images and the texts that it was made for."""
_NAMED = ("model", "image_set", "text_set")


@dataclass(frozen=True, slots=True)
class Kept:
    """One data object of a unit."""

    path: str
    """Where it lies, below the attempt's folder."""
    size: int
    """Its length in bytes."""
    sha256: str
    """The digest of its bytes."""


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of a finished unit."""

    unit: str
    """The unit's key."""
    attempt: str
    """The folder of its data objects."""
    objects: tuple[Kept, ...]
    """Its data objects."""
    covers: Mapping[str, Any]
    """The names, axis and span it was made for; a help for people, not part of any identity."""
    absent: Mapping[int, str] = field(default_factory=dict)
    """Rows, counted from the unit's first, whose image or text could not be read, with the reason."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What was measured while it was made, such as the achieved relative error."""
    made: Mapping[str, Any] = field(default_factory=dict)
    """When, where, by which run and with which library versions it was made."""

    @property
    def nbytes(self) -> int:
        """How many bytes its data objects take."""
        return sum(kept.size for kept in self.objects)

    def to_json(self) -> bytes:
        """Write the record as JSON, with the digest of the rest of it."""
        return seal(asdict(self))

    @classmethod
    def from_json(cls, data: bytes) -> Record:
        """Read a record; `ValueError` for bytes that are not exactly those that `to_json` wrote."""
        try:
            facts = unseal(data)
            facts["objects"] = tuple(Kept(**kept) for kept in facts["objects"])
            facts["absent"] = {int(row): reason for row, reason in facts["absent"].items()}
            return cls(**facts)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"no record: {error!r}") from error


def _attempt(view: str, key: str, token: str) -> str:
    """Name the folder of an attempt at a unit by somebody who is present under a token."""
    return f"data/{view}/{key[:2]}/{key}.{token}-{secrets.token_hex(4)}"


def folder_of(view: View) -> str:
    """Give the prefix below which the records of one recipe lie."""
    return f"units/{view.name()}/{view.recipe_key}/"


class Records:
    """The records of one store; each is immutable, so those seen once are remembered."""

    def __init__(self, objects: Objects, presence: Presence | None = None) -> None:
        self._objects, self._presence = objects, presence or Presence(objects)
        self._summaries = Summaries(objects, self.read)
        self._seen: dict[str, Record] = {}
        self._described: set[str] = set()
        self._lock = threading.Lock()

    def done(self, view: View) -> set[str]:
        """List the keys of the units of this recipe that are done: one listing."""
        return self._objects.names(folder_of(view))

    def briefs(self, view: View) -> dict[str, Brief]:
        """Tell in brief of the units of this recipe that are done, by key; those found damaged are not."""
        return self._summaries.of(f"{view.name()}/{view.recipe_key}")

    def all_briefs(self) -> Iterator[tuple[str, Brief]]:
        """Tell in brief of all units that are done, by the paths of their records and in their order."""
        return self._summaries.all()

    def is_done(self, unit: Unit) -> bool:
        """Look again whether one unit is done."""
        return self._objects.exists(self.path(unit))

    def get(self, unit: Unit) -> Record:
        """Read a unit's record once; `FileNotFoundError` where it is not done, `DamagedUnit` as in `read`."""
        path = self.path(unit)
        with self._lock:
            if path in self._seen:
                return self._seen[path]
        return self.read(path)

    def read(self, path: str) -> Record:
        """Read a record afresh; a damaged one is set aside, and `DamagedUnit` says so."""
        data = self._objects.get(path)
        try:
            record = Record.from_json(data)
            if not path.endswith(f"/{record.unit}.json"):
                raise ValueError(f"the record of {record.unit}")
        except ValueError as error:
            self._set_aside(path)
            _, view, _, key = path.removesuffix(".json").split("/")
            raise DamagedUnit(f"{view}/{key[:12]}", [f"{path}: its bytes changed"]) from error
        with self._lock:
            self._seen[path] = record
        return record

    def keep(
        self,
        unit: Unit,
        data: Mapping[str, bytes],
        *,
        absent: Mapping[int, str],
        facts: Mapping[str, Any],
        made: Mapping[str, Any],
    ) -> bool:
        """Write a unit's data under a fresh name, then its record unless another came first.

        Tells whether this attempt is the one that is kept; the data of one that is not are removed. The name
        has the token under which this process is present, so that nobody takes the data for litter meanwhile
        (`garbage.py`). Whoever finds that it was taken for dead makes another attempt.
        """
        return self._attempt_until_it_stands(
            "keep",
            self.path(unit),
            lambda token: self._try(unit, data, token, absent=absent, facts=facts, made=made),
        )

    def _attempt_until_it_stands(
        self, what: str, path: str, attempt: Callable[[str], tuple[Record, bool]]
    ) -> bool:
        """Make an attempt under this process's token; another one where it was taken for dead meanwhile."""
        with self._presence.at_work(what) as token:
            while True:
                record, won = attempt(token)
                if not won or self._presence.stands(token):
                    return won
                self._withdraw(path, record)
                token = self._presence.again(token, what)

    def _try(
        self,
        unit: Unit,
        data: Mapping[str, bytes],
        token: str,
        *,
        absent: Mapping[int, str],
        facts: Mapping[str, Any],
        made: Mapping[str, Any],
    ) -> tuple[Record, bool]:
        """Make one attempt to keep a unit."""
        attempt = _attempt(unit.view.name(), unit.key, token)
        objects = tuple(Kept(name, len(each), digest.of_bytes(each)) for name, each in data.items())
        record = Record(unit.key, attempt, objects, _covers(unit), absent, facts, made)
        try:
            for name, content in data.items():
                self._objects.put(f"{attempt}/{name}", content)
            self.describe(unit.view)
            won = self._put(self.path(unit), record)
        except StoreError:
            self._discard(record)
            raise
        return record, won

    def _withdraw(self, path: str, record: Record) -> None:
        """Take back a record whose data may be gone, unless another has taken its place."""
        if self._stands(path, record):
            self._set_aside(path)
        self._discard(record)

    def take(
        self, path: str, record: Record, fetch: Callable[[Kept], bytes], made: Mapping[str, Any]
    ) -> bool:
        """Keep a copy of a unit of another store: its data under a fresh name, then its record as in `keep`.

        `fetch` gives each data object, checked, and may raise `DamagedUnit`, after which nothing of it is
        left here; `made` is added to what is known of how the unit was made. Tells whether this copy is the
        one that is kept.
        """
        return self._attempt_until_it_stands(
            "pull", path, lambda token: self._copy(path, record, token, fetch, made)
        )

    def _copy(
        self,
        path: str,
        record: Record,
        token: str,
        fetch: Callable[[Kept], bytes],
        made: Mapping[str, Any],
    ) -> tuple[Record, bool]:
        """Make one attempt to keep a copy of a unit."""
        attempt = _attempt(path.split("/")[1], record.unit, token)
        copy = replace(record, attempt=attempt, made={**record.made, **made})
        try:
            for kept in record.objects:
                self._objects.put(f"{attempt}/{kept.path}", fetch(kept))
        except BaseException:  # there is no record of it yet
            self._discard(copy)
            raise
        return copy, self._put(path, copy)

    def _put(self, path: str, record: Record) -> bool:
        """Put the record of an attempt unless there is one; the data of one that comes late are removed.

        After an interrupt in between nobody knows whether it is there: the data stay, and `gc` finds out.
        """
        won = self._objects.create(path, record.to_json())
        if not won:
            self._discard(record)
        return won

    def _discard(self, record: Record) -> None:
        """Remove the data of an attempt that has no record."""
        for kept in record.objects:
            self._objects.delete(f"{record.attempt}/{kept.path}")

    def blame(self, unit: Unit) -> list[str]:
        """Say what is wrong with a unit that could not be read; its record is set aside if it is damaged.

        The record is read afresh: nothing is wrong where another process has given the unit up, or replaced
        it, since it was seen.
        """
        path = self.path(unit)
        with self._lock:
            seen = self._seen.pop(path, None)
        try:
            record = self.read(path)
        except FileNotFoundError:
            return []
        except DamagedUnit as error:
            return list(error.objects)
        return [] if seen is not None and seen.attempt != record.attempt else self.check(path, record)

    def give_up(self, unit: Unit) -> None:
        """Set a unit's record aside, since what it names is gone: the unit counts as missing."""
        self._set_aside(self.path(unit))

    def check(self, path: str, record: Record) -> list[str]:
        """Read all data objects of a unit; say what is wrong, and set the record aside if anything is.

        Nothing is wrong where another process gave the unit up, or replaced it, after its record was read.
        """
        found = [f"{place}: {what}" for place, what in self._damage(record)]
        if not found or not self._stands(path, record):
            return []
        self._set_aside(path)
        return found

    def _stands(self, path: str, record: Record) -> bool:
        """Look whether a record is still the one that is kept."""
        try:
            return self.read(path).attempt == record.attempt
        except (FileNotFoundError, DamagedUnit):
            return False

    def _damage(self, record: Record) -> list[tuple[str, str]]:
        """List the data objects that are gone, cut or changed, each with what is wrong; all are read."""
        found = []
        for kept in record.objects:
            path = f"{record.attempt}/{kept.path}"
            try:
                data = self._objects.get(path)
            except FileNotFoundError:
                found.append((path, "removed"))
                continue
            if len(data) != kept.size:
                found.append((path, f"{len(data)} bytes instead of {kept.size}"))
            elif digest.of_bytes(data) != kept.sha256:
                found.append((path, "its bytes changed"))
        return found

    def _set_aside(self, path: str) -> None:
        """Rename the record of a damaged unit away, so that it counts as missing, where that is allowed."""
        if self._objects.read_only:
            return
        name = path.removeprefix("units/").removesuffix(".json")
        self._objects.rename(path, f"damaged/{name}.{secrets.token_hex(4)}.json")
        with self._lock:
            self._seen.pop(path, None)

    def recipes(self, view: View) -> list[tuple[str, dict[str, Any]]]:
        """List the recipes, with their keys, by which units were made under the view's names.

        `DamagedObject` where one is damaged: without it, nobody could say of what combination it was.
        """
        prefix = f"recipes/{_under(view)}/"
        remedy = f"belvedere fill {view.name()} for {', '.join(view.names.values())} writes it again"
        return [
            (key, self._objects.get_sealed(f"{prefix}{key}.json", remedy))
            for key in self._objects.names(prefix)
        ]

    def filled(self) -> set[str]:
        """Name the views of which units were made, of whatever inputs."""
        return self._objects.folders("recipes/")

    def every_recipe(self, view: str) -> list[tuple[tuple[str, ...], dict[str, Any]]]:
        """List the recipes by which units of a view were made, each with the names under which they were."""
        remedy, prefix = f"belvedere fill {view} writes it again", f"recipes/{view}/"
        paths = sorted(each.path for each in self._objects.list(prefix))
        return [
            (tuple(path.removeprefix(prefix).split("/")[:-1]), self._objects.get_sealed(path, remedy))
            for path in paths
        ]

    def places(self, view: View | type[View], recipe_key: str) -> dict[Place, Mapping[str, Any]]:
        """Give what units kept under a recipe cover, by place; of several what that of most images covers."""
        found = (brief.covers for brief in self._summaries.of(f"{view.name()}/{recipe_key}").values())
        return {_place(covers): covers for covers in sorted(found, key=_grown)}

    def describe(self, view: View) -> None:
        """Write down what a recipe's key stands for under these names, which belong together from now on."""
        path, content = f"recipes/{_under(view)}/{view.recipe_key}.json", seal(view.recipe)
        if path not in self._described:
            if not self._objects.create(path, content) and self._objects.get(path) != content:
                self._objects.put(path, content)  # what was there is damaged
            self._described.add(path)

    def follow(self, view: str, place: int, old: str, new: str) -> None:
        """Let what belongs to combinations with a name belong to those with another one as well.

        `place` counts along the names in a view's title. What was written under the old name stays: other
        processes may remember that it is there.
        """
        prefix = f"recipes/{view}/"
        for info in list(self._objects.list(prefix)):
            parts = info.path.removeprefix(prefix).split("/")
            if place < len(parts) - 1 and parts[place] == old:
                parts[place] = new
                self._objects.create(f"{prefix}{'/'.join(parts)}", self._objects.get(info.path))

    def path(self, unit: Unit) -> str:
        """Give where a unit's record lies."""
        return f"{folder_of(unit.view)}{unit.key}.json"


def _under(view: View) -> str:
    """Give the folder for what was made under a view's names."""
    return "/".join([view.name(), *(source.name for source in view.sources())])


def _covers(unit: Unit) -> dict[str, Any]:
    """Say what a unit was made for: the names, their contents, and its place."""
    found: dict[str, Any] = {"axis": unit.view.axis, "start": unit.start, "stop": unit.stop}
    for source in unit.view.sources():
        if isinstance(source, Model):
            found[source.column] = source.name
        else:
            facts = {"name": source.name, "count": len(source), "contents": source.all_contents}
            found[source.column] = facts
    return found


def places(unit: Unit) -> list[Place]:
    """Name a unit's place among all that were made under the same names, and under those they had before."""
    names: list[tuple[str | None, ...]] = [()]
    sources = {source.column: source for source in unit.view.sources()}
    for column in _NAMED:
        known = (sources[column].name, *sources[column].formerly) if column in sources else (None,)
        names = [(*before, name) for before in names for name in known]
    return [(unit.start, *each) for each in names]


def _grown(covers: Mapping[str, Any]) -> int:
    """Count the images and texts of the sets that a unit is of."""
    return sum(int(each["count"]) for each in covers.values() if isinstance(each, dict) and "count" in each)


def _place(covers: Mapping[str, Any]) -> Place:
    names = (covers.get(column) for column in _NAMED)
    return (covers["start"], *(name["name"] if isinstance(name, dict) else name for name in names))
