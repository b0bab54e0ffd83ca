"""What stands beside an array: names along an axis, or numbers that are read when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ...store.views import Array, ArrayView, Axis, Coord, Parts, Unit
from .reading import Shown

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")


class Coords(Mapping[str, Any]):
    """The coordinates of an array by name; to ask for one of numbers reads it, and fills what is missing."""

    def __init__(self, known: Mapping[str, Coord], read: Callable[[str], Array]) -> None:
        self._known, self._read = known, read

    def __getitem__(self, name: str) -> Any:
        found = self._known[name]
        return found if isinstance(found, tuple) else self._read(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)

    def __repr__(self) -> str:
        return f"<Coords {', '.join(self) or 'none'}>"


def beside(view: ArrayView, name: str, parts: Parts) -> Shown:
    """Say how numbers beside an array are read, such as `norm`: along its first axis, a part at a time."""
    read = view.coords()[name]
    if isinstance(read, tuple):
        raise TypeError(f"{name} of {view.name()} are names, not numbers")

    def show(axes: tuple[Axis, ...]) -> Array:
        if view.axis == view.dims[0]:
            return read(_Rows(parts, view, axes[0]))
        return read(parts)[axes[0]]

    return Shown(dtype_of(view, name), show, whole=False)


def dtype_of(view: ArrayView, name: str) -> np.dtype[Any]:
    """Give the data type of numbers beside an array: that of the stored array of the name, or float64."""
    kept = {member.name: np.dtype(member.dtype) for member in view.members()}
    return kept.get(name, np.dtype("float64"))


class _Rows(Parts):
    """What is kept of some rows of a view, as though these were all; other views are seen whole."""

    def __init__(self, parts: Parts, view: ArrayView, rows: Axis) -> None:
        self._parts, self._view, self._rows = parts, view, rows

    def array(self, view: ArrayView, member: str, selection: Sequence[Axis] = ()) -> Array:
        if view is not self._view:
            return self._parts.array(view, member, selection)
        found = self._parts.array(view, member, (self._rows, *selection[1:]))
        return found[selection[0]] if selection else found

    def whole(self, unit: Unit, member: str) -> Array:
        if unit.view is self._view:
            raise ValueError(f"{unit} has other rows than those that are read")
        return self._parts.whole(unit, member)

    def rows(self, unit: Unit) -> pa.Table:
        return self._parts.rows(unit)

    def once(self, key: str, make: Callable[[], T]) -> T:
        return make()  # what is made of some rows is not to be remembered for all
