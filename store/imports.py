"""Tables that were taken in from the files of others: a sealed record for each, and the parts that it names.

An import cannot be made again here, so nothing takes one away but `remove`. Its parts have the digest of
their bytes and a word of their own in their names, and are put before the record, which is put if absent. So
a process that is killed leaves parts without a record, never the other way round, and what collects those
cannot hit the parts of an import that another process is making of the same file.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import digest, parts
from .errors import DamagedObject, UnknownName
from .objects import CHANGED, Objects
from .presence import Presence
from .sealed import seal

if TYPE_CHECKING:
    import pyarrow as pa

FOLDER = "imports/"
PARTS = "imports/parts/"
REMEDY = "import its file again (belvedere import labels), or take it away (belvedere remove import)"


@dataclass(frozen=True, slots=True)
class Import:
    """What was taken in from one file."""

    key: str
    """The digest of the file, of how it was read, and of what it was said to be about."""
    facts: Mapping[str, Any]
    """What is known of it, in plain facts."""
    parts: Mapping[str, str]
    """Its tables by name, each with the object that holds its rows."""


class Imports:
    """The imports of one store."""

    def __init__(self, objects: Objects, presence: Presence) -> None:
        self._objects, self._presence = objects, presence

    def listed(self) -> list[str]:
        """List the imports that there are."""
        return sorted(self._objects.names(FOLDER))

    def read(self, key: str) -> Import:
        """Read the record of an import.

        Raises `UnknownName` where there is none, and `DamagedObject` where it is not as it was written.
        """
        path = record_of(key)
        try:
            record = self._objects.get_sealed(path, REMEDY)
        except FileNotFoundError:
            raise UnknownName("import", key, self.listed(), "the table imports lists them") from None
        if record.get("key") != key:
            raise DamagedObject(path, f"it is the record of {record.get('key')}", REMEDY)
        return Import(key, record["facts"], record["parts"])

    def every(self, *, but: str | None = None) -> Iterator[Import]:
        """Read all records but one; one that is removed meanwhile is passed over, a damaged one raises."""
        for key in self.listed():
            if key == but:
                continue
            try:
                found = self.read(key)
            except UnknownName:
                continue
            yield found

    def rows(self, found: Import, table: str) -> pa.Table | None:
        """Read the rows that an import has for a table; None where it has none.

        Raises `DamagedObject` where they are gone or not as they were written.
        """
        path = found.parts.get(table)
        if path is None:
            return None
        try:
            return parts.decode(self._bytes(path))
        except DamagedObject as error:
            whose = f"it is of import {found.key}, {found.facts.get('source')}"
            raise DamagedObject(path, error.what, f"{whose}: {REMEDY}") from None

    def is_whole(self, key: str) -> bool:
        """Tell whether an import is there, and all of it as it was written."""
        try:
            for path in self.read(key).parts.values():
                self._bytes(path)
        except (UnknownName, DamagedObject):
            return False
        return True

    def put(self, key: str, facts: Mapping[str, Any], tables: Mapping[str, bytes]) -> bool:
        """Keep an import; False where another process was first. One that is damaged is replaced."""
        with self._presence.at_work("import"):
            useless = self._set_aside(key)
            named = {name: _part(data) for name, data in tables.items()}
            for name, path in named.items():
                self._objects.put(path, tables[name])
            first = self._objects.create(record_of(key), seal({"key": key, "facts": facts, "parts": named}))
            for path in useless if first else named.values():
                self._objects.delete(path)
            return first

    def remove(self, key: str) -> None:
        """Take an import away; its parts, which nothing names any more, are collected."""
        self._objects.delete(record_of(key))

    def named(self) -> set[str] | None:
        """List the parts that records name; None where a record cannot be read."""
        try:
            return {path for each in self.every() for path in each.parts.values()}
        except DamagedObject:
            return None

    def _set_aside(self, key: str) -> list[str]:
        """Rename the record of a damaged import away; give its parts, which nobody needs any more."""
        if not self._objects.exists(record_of(key)) or self.is_whole(key):
            return []
        named: list[str] = []
        with suppress(UnknownName, DamagedObject):
            named = list(self.read(key).parts.values())
        aside = f"damaged/imports/{key}.{secrets.token_hex(4)}.json"
        return named if self._objects.rename(record_of(key), aside) else []

    def _bytes(self, path: str) -> bytes:
        try:
            data = self._objects.get(path)
        except FileNotFoundError:
            raise DamagedObject(path, "removed", REMEDY) from None
        if not is_part_whole(path, data):
            raise DamagedObject(path, CHANGED, REMEDY)
        return data


def record_of(key: str) -> str:
    """Give where the record of an import lies."""
    return f"{FOLDER}{key}.json"


def is_part_whole(path: str, data: bytes) -> bool:
    """Tell whether the bytes of a part are those that its name is the digest of."""
    return digest.of_bytes(data) == path.removeprefix(PARTS).partition(".")[0]


def _part(data: bytes) -> str:
    return f"{PARTS}{digest.of_bytes(data)}.{secrets.token_hex(4)}.parquet"
