"""What could not be made or read: one small object a unit, shown as the table `errors`."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime

from .errors import DamagedObject
from .objects import Objects
from .sealed import seal
from .views import Unit, View

REMEDY = "belvedere verify sets it aside, and the next fill tries again what failed there"
"""What to do about a damaged list of failures."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One row of the table `errors`."""

    view: str
    """The view whose unit it is."""
    unit: str
    """The unit's key."""
    inputs: Mapping[str, str]
    """The names of the inputs: model, image_set, text_set."""
    start: int
    """The first position that the unit covers along its view's axis."""
    row: int | None
    """The image or text concerned; None where the whole unit failed."""
    path: str | None
    """Where the image lies."""
    error: str
    """The kind of error."""
    message: str
    """What went wrong and what to do."""
    time: str
    """When, in UTC."""


def failure(
    unit: Unit, error: str, message: str, *, row: int | None = None, path: str | None = None
) -> Failure:
    """Describe what went wrong with a unit or with one of its rows."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    plain = message.encode(errors="replace").decode()  # JSON has no room for half a character
    return Failure(unit.view.name(), unit.key, unit.view.names, unit.start, row, path, error, plain, now)


class Failures:
    """The failures of one store: rows that are absent, and whole units that could not be made.

    A damaged list of them keeps nothing from being filled: its unit is tried as though nothing was recorded
    against it, and the list written anew. Reading all of them raises `DamagedObject`.
    """

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def put(self, unit: Unit, rows: list[Failure]) -> None:
        """Write what went wrong with a unit, over what was written before."""
        self._write(self._path(unit.view, unit.key), rows)

    def settle(self, unit: Unit, rows: list[Failure]) -> None:
        """Write what could not be read in a unit that is made now, and forget what that supersedes.

        Superseded are failures of the unit itself, and of units that stood in its place before its images
        or texts were changed or appended.
        """
        for key in self.units(unit.view):
            path = self._path(unit.view, key)
            before = self._known(path)
            if key == unit.key or any(_same_place(failure, unit) for failure in before):
                self._objects.delete(path)
        if rows:
            self.put(unit, rows)

    def follow(self, column: str, old: str, new: str) -> None:
        """Let what is recorded under a name of a column be recorded under another one."""
        for path in sorted(each.path for each in self._objects.list("failures/")):
            before = self._known(path)
            rows = [
                replace(row, inputs={**row.inputs, column: new}) if row.inputs.get(column) == old else row
                for row in before
            ]
            if rows != before:
                self._write(path, rows)

    def units(self, view: View) -> set[str]:
        """List the keys of the units of a recipe with something recorded against them."""
        return self._objects.names(f"failures/{view.name()}/{view.recipe_key}/")

    def of(self, unit: Unit) -> list[Failure]:
        """Read what is recorded against one unit; nothing where that is damaged."""
        return self._known(self._path(unit.view, unit.key))

    def whole(self, unit: Unit) -> Failure | None:
        """Give the reason why a whole unit could not be made, where there is one."""
        return next((row for row in self.of(unit) if row.row is None), None)

    def all(self) -> list[Failure]:
        """Read every failure, in the order of views, units and rows; `DamagedObject` where one list is."""
        paths = sorted(each.path for each in self._objects.list("failures/"))
        return [row for path in paths for row in self._read(path)]

    def _write(self, path: str, rows: list[Failure]) -> None:
        self._objects.put(path, seal({"rows": [asdict(row) for row in rows]}))

    def _known(self, path: str) -> list[Failure]:
        """Read one object, or nothing where it is damaged."""
        with suppress(DamagedObject):
            return self._read(path)
        return []

    def _read(self, path: str) -> list[Failure]:
        """Read one object; nothing where another process settled it after it was listed."""
        try:
            return [Failure(**row) for row in self._objects.get_sealed(path, REMEDY)["rows"]]
        except FileNotFoundError:
            return []

    @staticmethod
    def _path(view: View, key: str) -> str:
        return f"failures/{view.name()}/{view.recipe_key}/{key}.json"


def _same_place(failure: Failure, unit: Unit) -> bool:
    return (dict(failure.inputs), failure.start) == (unit.view.names, unit.start)
