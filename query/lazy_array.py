"""An array that is computed when somebody first looks, and read from what is kept from then on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np

from ..compute.runner import Progress, Report, Settings
from ..store.errors import AbsentRows, DamagedUnit, MissingUnits
from ..store.views import Array, ArrayView, Parts, Unit
from .coords import Coords
from .engine import ROUNDS
from .lazy import Lazy, check_missing
from .selection import Index, Selection, parse

Missing = Literal["fill", "raise", "mask"]


class LazyArray(Lazy[ArrayView]):
    """An array view: indexed like a numpy array, it reads what is kept and computes the rest."""

    @property
    def dims(self) -> tuple[str, ...]:
        """The names of the axes."""
        return self._view.dims

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of the axes."""
        return self._view.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The data type that a read gives."""
        return self._view.shown

    @property
    def nbytes(self) -> int:
        """The bytes that the whole array would take in memory; what is kept is often far smaller."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Index) -> Array:
        return self.read(index)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.asarray(self.read(...), dtype=dtype)

    def read(self, index: Index = ..., *, missing: Missing = "fill") -> Array:
        """Read part of the array, indexed as numpy would be.

        Args:
            index: Integers, slices, one list or mask, an Ellipsis, or a tuple of those.
            missing: "fill" computes the units that are missing; "raise" raises; "mask" gives a masked
                array in which what is missing or could not be read is masked.

        Raises:
            BadSelection: The index does not fit.
            BadSource: `missing` is none of the three.
            MissingUnits: Units are missing, and are not to be filled or cannot be.
            UnitFailed: A unit could not be made.
            CannotRun: A unit was imported, and is missing or damaged.
            AbsentRows: The selection has images or texts that could not be read (not with "mask").
            DamagedUnit: Bytes are not those that were written, and are not to be filled again.
        """
        check_missing(missing, get_args(Missing))
        selection = parse(index, self.dims, self.shape)
        if not all(selection.lengths):
            return selection.finish(np.empty(selection.lengths, self.dtype))
        units = self._touched(selection)
        if missing == "mask":
            return self._masked(selection, units)
        return self._filled(units, missing, lambda: self._whole(selection, units))

    @property
    def coords(self) -> Mapping[str, Any]:
        """What stands beside the array, by name.

        Names along an axis, such as `term`, are a tuple. Numbers that are kept beside each image, such as
        `norm`, are an array, read and filled when they are asked for; NaN where the image could not be read.
        """
        return Coords(self._view.coords(), self._beside)

    def _beside(self, read: Callable[[Parts], Array]) -> Array:
        return self._filled(self._view.units, "fill", lambda: read(self._engine.reader))

    def fill(
        self,
        selection: Index = ...,
        *,
        device: str | None = None,
        batch_size: int = 32,
        workers: int | None = None,
        retry_failed: bool = False,
        progress: bool | Progress = True,
    ) -> Report:
        """Compute what is missing of a part of the array, without reading it; see `Lazy.fill`."""
        units = self._touched(parse(selection, self.dims, self.shape))
        return self._fill(units, Settings(device, batch_size, workers, retry_failed), progress)

    def _touched(self, selection: Selection) -> Sequence[Unit]:
        """List the units in which a selection lies; all, where a reader does not see the units' axis."""
        if self._view.axis != self.dims[0] or len(self._view.units) == 1:
            return self._view.units
        return [self._view.units[index] for index in self._view.grid.touched(selection.first)]

    def _filled(self, units: Sequence[Unit], missing: Missing, read: Callable[[], Array]) -> Array:
        """Read once the units are there; what turns out damaged, or goes away meanwhile, is filled again."""
        for _ in range(ROUNDS):
            self._have(units, missing)
            try:
                return read()
            except (DamagedUnit, MissingUnits) as error:
                if missing == "raise" or not self._engine.folder.writable:
                    raise
                trouble = error
        raise trouble

    def _have(self, units: Sequence[Unit], missing: Missing) -> None:
        if missing == "fill":
            self._engine.ensure(units)
            return
        found = self._engine.plan(units)
        if found.steps:
            hint = found.lost or 'fill() computes them, or read(…, missing="fill")'
            lacking = found.wanted - found.reused or found.units
            raise MissingUnits(self._view.title(), lacking, found.wanted, hint)

    def _whole(self, selection: Selection, units: Sequence[Unit]) -> Array:
        absent = self._absent(units)
        if absent and self._view.axis == self.dims[0]:
            gone = {place: absent[place] for place in selection.first if place in absent}
            if gone:
                raise AbsentRows(self._view.title(), self._view.axis, gone)
        return selection.finish(self._view.show(self._engine.reader, selection.axes))

    def _absent(self, units: Sequence[Unit]) -> dict[int, str]:
        absent = self._engine.reader.absent
        return {unit.start + row: reason for unit in units for row, reason in absent(unit).items()}

    def _masked(self, selection: Selection, units: Sequence[Unit]) -> Array:
        """Read the rows that are there, and mask the others."""
        while True:
            done = self._engine.done(self._view)
            ready = [unit for unit in units if unit.key in done]
            if self._engine.plan(ready).steps or (
                self._view.axis != self.dims[0] and len(ready) < len(units)
            ):
                ready = []
            try:
                return self._mask(selection, ready)
            except MissingUnits:  # set aside by another process after it was listed
                continue
            except DamagedUnit:
                if not self._engine.folder.writable:
                    raise

    def _mask(self, selection: Selection, ready: Sequence[Unit]) -> Array:
        places = np.asarray(selection.first, dtype=np.intp)
        if self._view.axis == self.dims[0]:
            starts = {unit.index for unit in ready}
            block = self._view.grid.block
            absent = self._absent(ready)
            there = np.array([p // block in starts and p not in absent for p in places.tolist()], dtype=bool)
        else:
            there = np.full(len(places), bool(ready))
        values = np.zeros(selection.lengths, self.dtype)
        if there.any():
            values[there] = self._view.show(self._engine.reader, selection.narrowed(places[there]))
        mask = np.broadcast_to(~there.reshape(-1, *[1] * (values.ndim - 1)), values.shape)
        masked: Array = np.ma.MaskedArray(selection.finish(values), selection.finish(mask.copy()))
        return masked
