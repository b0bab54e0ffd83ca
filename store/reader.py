"""Reads what is kept: many units as one array or table, each byte checked, nothing made up."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import pyarrow as pa

from . import arrays, parts
from .errors import DamagedUnit, MissingUnits, StoreError
from .folder import Folder
from .grid import Grid
from .records import Record
from .views import Array, ArrayView, Axis, Member, Parts, Unit

T = TypeVar("T")
ROUNDS = 4
"""How often something is read that others give up and make anew meanwhile."""
REMEMBERED = 8
"""So many things are remembered, such as the maps of as many towers (28 MB for ViT-B/16)."""


class Reader(Parts):
    """Reads the finished units of one store."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._once: OrderedDict[str, Any] = OrderedDict()
        self._lock = threading.Lock()

    def array(self, view: ArrayView, member: str, selection: Sequence[Axis] = ()) -> Array:
        """Read a stored array; `MissingUnits` for a unit that is not kept, `DamagedUnit` for a bad one."""
        found = next(each for each in view.members() if each.name == member)
        whole = (slice(None),) * (len(found.shape) - len(selection))
        units = view.units

        def locate(index: int) -> str:
            return f"{self._record(units[index]).attempt}/{member}"

        array = arrays.stitch(self._folder.objects, found, view.shard, locate)
        return self._steadily(
            lambda: arrays.select(array, (*selection, *whole)), lambda: _touched(view, found, selection)
        )

    def whole(self, unit: Unit, member: str) -> Array:
        """Read all of one unit's stored array; `MissingUnits` and `DamagedUnit` as in `array`."""
        view = unit.view
        if not isinstance(view, ArrayView):
            raise TypeError(f"{view.title()} has rows, and no arrays")
        found = next(each for each in view.members() if each.name == member)

        def read() -> Array:
            data = self._folder.objects.get(
                f"{self._record(unit).attempt}/{member}/{arrays.shard_name(found)}"
            )
            return arrays.unpack(data, found, view.shard, unit.stop - unit.start)

        return self._steadily(read, lambda: [unit])

    def once(self, key: str, make: Callable[[], T]) -> T:
        """Make something the first time, and remember it while it is among the last that were asked for."""
        with self._lock:
            if key in self._once:
                self._once.move_to_end(key)
                known: T = self._once[key]
                return known
        made = make()
        with self._lock:
            self._once[key] = made
            while len(self._once) > REMEMBERED:
                self._once.popitem(last=False)
        return made

    def forget(self) -> None:
        """Let go of what `once` remembers."""
        with self._lock:
            self._once.clear()

    def absent(self, unit: Unit) -> Mapping[int, str]:
        """Give the rows of a unit, counted from its first, that could not be read, with the reason."""
        return self._record(unit).absent

    def facts(self, unit: Unit) -> Mapping[str, Any]:
        """Give what was measured when a unit was made."""
        return self._record(unit).facts

    def rows(self, unit: Unit) -> pa.Table:
        """Read the stored rows of a unit; `MissingUnits` and `DamagedUnit` as in `array`."""

        def read() -> pa.Table:
            record = self._record(unit)
            path = f"{record.attempt}/part.parquet"
            data = self._folder.objects.get(path)
            if not parts.is_whole(data, record.objects[0].sha256):
                raise ValueError(path)
            return parts.decode(data)

        return self._steadily(read, lambda: [unit])

    def _steadily(self, read: Callable[[], T], units: Callable[[], Sequence[Unit]]) -> T:
        """Read what lies in some units; again where another process gave up or replaced one meanwhile."""
        for left in reversed(range(ROUNDS)):
            try:
                return read()
            except (MissingUnits, DamagedUnit):
                raise
            except (ValueError, OSError, StoreError) as error:
                self._blame(units(), error)
                if not left:
                    raise
        raise AssertionError("the last round raises")

    def _record(self, unit: Unit) -> Record:
        self._folder.uses.mark(unit.key)
        try:
            return self._folder.records.get(unit)
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
