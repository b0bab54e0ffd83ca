"""An array view as xarray sees it: named axes with coordinates, numbers that are read when looked at."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from xarray import DataArray, Variable
from xarray.backends import BackendArray
from xarray.core import indexing

from ...store.errors import BadSource
from ...store.views import Array, View
from ..question import parameters
from .coords import dtype_of
from .labelled import BESIDE, entries_along
from .part import distinct
from .reading import Missing, unmasked

if TYPE_CHECKING:
    from .array import LazyArray

COUNTED = ("layer", "head", "token", "neuron")
"""Axes whose positions are coordinates."""


def data_array(array: LazyArray, name: str | None, missing: Missing) -> DataArray:
    """Make a data array that reads when it is looked at, and then remembers, as those from files do."""
    coords = variables(array, missing, remember=True)
    itself = coords.pop(array._view.name())
    made = DataArray(itself, coords=coords, name=name or array._view.name())
    for each in identifying(coords):
        made = made.set_xindex(each)
    return made


def variables(array: LazyArray, missing: Missing, *, remember: bool) -> dict[str, Variable]:
    """Give the coordinates and, under its own name, the view; nothing is computed or read.

    With `remember` each keeps what was read of it whole, and can be written to in memory; whoever opens a
    data set through xarray has that from xarray. Raises `BadSource` where NaN cannot stand for what is
    missing.
    """
    view, dims = array._view, distinct(array.dims)
    if missing == "mask" and array.dtype.kind != "f":
        raise BadSource(f"{view.title()} holds {array.dtype}, which has no NaN to stand for what is missing")
    found = dict(_names(array, dims))
    for name, values in view.coords().items():
        if not isinstance(values, tuple):
            numbers = _Kept(array.shape[:1], dtype_of(view, name), partial(_along, array, name, missing))
            found[name] = Variable(dims[:1], _lazy(numbers, remember))
    itself = _Kept(array.shape, array.dtype, partial(_outer, array, missing))
    found[view.name()] = Variable(dims, _lazy(itself, remember), facts(view))
    return found


def identifying(names: Iterable[str]) -> list[str]:
    """List the coordinates that are no axis themselves and by which `sel` selects entries."""
    ids = {columns[0] for columns in BESIDE.values()}
    return [name for name in names if name in ids]


def facts(view: View) -> dict[str, str]:
    """Say in words which view it is: its name, its inputs, and its parameters as JSON."""
    return {
        "view": view.name(),
        **view.names,
        "parameters": json.dumps(parameters(view), sort_keys=True),
    }


def _names(array: LazyArray, dims: tuple[str, ...]) -> Iterator[tuple[str, Variable]]:
    """Give what is known without a read: positions, the columns of sets that have values, terms."""
    for name, length in zip(dims, array.shape, strict=True):
        if name in COUNTED:
            yield name, Variable(name, np.arange(length))
        if (found := entries_along(array._view, name)) is not None:
            for column in BESIDE[name]:
                values = found.entries[column]
                if values.null_count < length:
                    yield column, Variable(name, values.to_numpy())
    for name, coord in array._view.coords().items():
        if isinstance(coord, tuple):
            yield name, Variable(name, np.array(coord, dtype=object))


def _outer(array: LazyArray, missing: Missing, index: tuple[Any, ...]) -> Array:
    return array._outer(index, missing)


def _along(array: LazyArray, name: str, missing: Missing, index: tuple[Any, ...]) -> Array:
    return array._beside(name, index, missing)


def _lazy(kept: _Kept, remember: bool) -> Any:
    data: Any = indexing.LazilyIndexedArray(kept)
    if remember:
        data = indexing.MemoryCachedArray(indexing.CopyOnWriteArray(data))  # type: ignore[no-untyped-call]
    return data


class _Kept(BackendArray):
    """What xarray indexes: each axis on its own, and NaN in place of what is masked."""

    def __init__(
        self, shape: tuple[int, ...], dtype: np.dtype[Any], read: Callable[[tuple[Any, ...]], Array]
    ) -> None:
        self.shape, self.dtype, self._read = shape, dtype, read

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        support = indexing.IndexingSupport.OUTER
        return indexing.explicit_indexing_adapter(key, self.shape, support, self._numbers)

    def _numbers(self, index: tuple[Any, ...]) -> Array:
        return np.asarray(unmasked(self._read(index)), self.dtype)
