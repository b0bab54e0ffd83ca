"""Reads what is kept: many units as one array or table, each byte checked, nothing made up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import pyarrow as pa

from . import arrays, parts
from .errors import DamagedUnit, MissingUnits, StoreError
from .folder import Folder
from .grid import Grid
from .views import Array, ArrayView, Axis, Member, Parts, TableView, Unit

T = TypeVar("T")


class Reader(Parts):
    """Reads the finished units of one store."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._once: dict[str, Any] = {}

    def array(self, view: ArrayView, member: str, selection: Sequence[Axis] = ()) -> Array:
        """Read a stored array; `MissingUnits` for a unit that is not kept, `DamagedUnit` for a bad one."""
        found = next(each for each in view.members() if each.name == member)
        whole = (slice(None),) * (len(found.shape) - len(selection))
        units = view.units

        def locate(index: int) -> str:
            return f"{self._attempt(units[index])}/{member}"

        array = arrays.stitch(self._folder.objects, found, view.shard, locate)
        try:
            return arrays.select(array, (*selection, *whole))
        except (MissingUnits, DamagedUnit):
            raise
        except (ValueError, OSError, StoreError) as error:
            self._blame(_touched(view, found, selection), error)
            raise

    def rows(self, view: TableView, unit: Unit | None = None) -> pa.Table:
        """Read the stored rows of one unit, or of all in order."""
        wanted = view.units if unit is None else (unit,)
        return pa.concat_tables([self._part(each) for each in wanted])

    def once(self, key: str, make: Callable[[], T]) -> T:
        """Make something the first time, and remember it as long as the store is open."""
        if key not in self._once:
            self._once[key] = make()
        value: T = self._once[key]
        return value

    def _part(self, unit: Unit) -> pa.Table:
        path = f"{self._attempt(unit)}/part.parquet"
        try:
            data = self._folder.objects.get(path)
            kept = self._folder.records.get(unit).objects[0]
            if not parts.is_whole(data, kept.sha256):
                raise ValueError(path)
            return parts.decode(data)
        except DamagedUnit:
            raise
        except (ValueError, OSError) as error:
            self._blame([unit], error)
            raise

    def _attempt(self, unit: Unit) -> str:
        try:
            return self._folder.records.get(unit).attempt
        except FileNotFoundError:
            raise MissingUnits(
                unit.view.title(), 1, len(unit.view.units), "fill the view, or ask for it with missing='fill'"
            ) from None

    def _blame(self, units: Sequence[Unit], error: Exception) -> None:
        """Find which units' bytes are not those that were written: `DamagedUnit` names them."""
        bad = {str(unit): found for unit in units if (found := self._folder.records.blame(unit))}
        if bad:
            raise DamagedUnit(", ".join(bad), [each for found in bad.values() for each in found]) from error


def _touched(view: ArrayView, member: Member, selection: Sequence[Axis]) -> list[Unit]:
    """List the units in which the first entry of a selection lies."""
    grid = Grid(member.shape[0], view.shard)
    if not selection:
        return list(view.units)
    first = selection[0]
    positions = range(*first.indices(grid.length)) if isinstance(first, slice) else first.tolist()
    return [view.units[index] for index in grid.touched(positions)]
