"""Numpy-style indices, parsed once: what is asked of each axis, and which axes fall away."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...store.errors import BadSelection
from ...store.views import Array, Axis

Index = Any
"""An integer, slice, Ellipsis, list or array of integers or booleans, or a tuple of those."""


@dataclass(frozen=True, slots=True)
class Selection:
    """A checked index."""

    axes: tuple[Axis, ...]
    """For every axis a slice with a positive step or an array of positions."""
    dropped: tuple[int, ...]
    """Axes that an integer selected: they are missing from the answer."""
    flipped: tuple[int, ...]
    """Axes that were sliced backwards."""
    leading: int | None
    """The axis of the list, where numpy moves it to the front: an integer and a list with a slice between."""

    @property
    def first(self) -> range | list[int]:
        """The positions selected along the first axis, in the order in which they are read."""
        axis = self.axes[0]
        return range(axis.start, axis.stop, axis.step) if isinstance(axis, slice) else axis.tolist()

    @property
    def order(self) -> Array:
        """The positions selected along the first axis, in the order in which they were asked for."""
        places = np.asarray(self.first, dtype=np.intp)
        return places[::-1] if 0 in self.flipped else places

    @property
    def lengths(self) -> tuple[int, ...]:
        """How many positions are selected along each axis."""
        return tuple(
            len(range(axis.start, axis.stop, axis.step)) if isinstance(axis, slice) else len(axis)
            for axis in self.axes
        )

    def narrowed(self, positions: Array) -> tuple[Axis, ...]:
        """Give the axes with only these positions on the first."""
        return (positions, *self.axes[1:])

    def at(self, positions: Array) -> Selection:
        """Ask the same of other positions along the first axis, which stays, in their order."""
        first: Axis = positions
        if len(positions) and (np.diff(positions) == 1).all():
            first = slice(int(positions[0]), int(positions[-1]) + 1, 1)
        dropped, flipped = (tuple(axis for axis in axes if axis) for axes in (self.dropped, self.flipped))
        return Selection((first, *self.axes[1:]), dropped, flipped, None)

    def finish(self, values: Array) -> Array:
        """Flip, drop and move axes of what was read."""
        if self.flipped:
            values = np.flip(values, self.flipped)
        if self.leading is not None:
            values = np.moveaxis(values, self.leading, 0)
            gone = [axis + (axis < self.leading) for axis in self.dropped]
        else:
            gone = list(self.dropped)
        return values.reshape([n for axis, n in enumerate(values.shape) if axis not in gone])


def parse(index: Index, dims: tuple[str, ...], shape: tuple[int, ...]) -> Selection:
    """Check a numpy-style index against an array's shape.

    Raises `BadSelection` for a position outside an axis, too many indices, or two lists at once (which
    numpy would pair up; ask one after the other).
    """
    entries, dots = _spread(index if isinstance(index, tuple) else (index,), dims)
    found = _checked(entries, dims, shape)
    lists = [axis for axis, entry in enumerate(found.axes) if not isinstance(entry, slice)]
    if len(lists) > 1:
        raise BadSelection("two lists in one index would be paired up; index with one, then with the other")
    pointed = sorted([*found.dropped, *lists])
    apart = bool(lists) and (
        pointed[-1] - pointed[0] >= len(pointed) or (dots is not None and pointed[0] < dots <= pointed[-1])
    )
    return replace(found, leading=lists[0]) if apart else found


def parse_outer(index: Index, dims: tuple[str, ...], shape: tuple[int, ...]) -> Selection:
    """Check an index that selects along each axis on its own, as `numpy.ix_` does; any axes may have lists.

    Raises `BadSelection` as `parse` does, but not for several lists.
    """
    entries, _ = _spread(index if isinstance(index, tuple) else (index,), dims)
    return _checked(entries, dims, shape)


def rows_of(index: Index, dims: tuple[str, ...], shape: tuple[int, ...]) -> Selection:
    """Check an index as `parse_outer` does, and that it leaves the first axis, along which rows lie."""
    found = parse_outer(index, dims, shape)
    if 0 in found.dropped:
        one = found.first[0]
        raise BadSelection(f"the axis {dims[0]} stays in batches: for a single row take {one}:{one + 1}")
    return found


def _checked(entries: Sequence[Any], dims: tuple[str, ...], shape: tuple[int, ...]) -> Selection:
    axes: list[Axis] = []
    dropped, flipped = [], []
    for axis, (entry, name, length) in enumerate(zip(entries, dims, shape, strict=True)):
        if isinstance(entry, slice):
            forward, backwards = _slice(entry, name, length)
            axes.append(forward)
            flipped += [axis] if backwards else []
        elif _is_integer(entry):
            position = _position(operator.index(entry), name, length)
            axes.append(slice(position, position + 1, 1))
            dropped.append(axis)
        else:
            axes.append(_positions(entry, name, length))
    return Selection(tuple(axes), tuple(dropped), tuple(flipped), None)


def _is_integer(entry: Any) -> bool:
    return isinstance(entry, int | np.integer) and not isinstance(entry, bool | np.bool_)


def _spread(entries: tuple[Any, ...], dims: tuple[str, ...]) -> tuple[list[Any], int | None]:
    """Write out the Ellipsis and the axes that were not mentioned; tell where the Ellipsis stood.

    It parts an integer from a list even where it stands for no axis at all, as in numpy.
    """
    dots = [place for place, entry in enumerate(entries) if entry is Ellipsis]
    given = len(entries) - len(dots)
    if len(dots) > 1 or given > len(dims):
        raise BadSelection(f"{given} indices for the {len(dims)} axes {', '.join(dims)}")
    place = dots[0] if dots else len(entries)
    rest = [slice(None)] * (len(dims) - given)
    spread = [*entries[:place], *rest, *entries[place + len(dots) :]]
    return spread, dots[0] if dots else None


def _slice(entry: slice, name: str, length: int) -> tuple[slice, bool]:
    try:
        positions = range(*entry.indices(length))
    except (TypeError, ValueError) as error:
        raise BadSelection(f"{entry} is no slice of {name}: {error}") from error
    backwards = positions.step < 0
    if backwards:
        positions = positions[::-1]
    if not positions:
        return slice(0, 0, 1), False
    return slice(positions[0], positions[-1] + 1, positions.step), backwards


def _position(position: int, name: str, length: int) -> int:
    if not -length <= position < length:
        raise BadSelection(f"{name} {position} is outside 0 … {length - 1}")
    return position % length


def _positions(entry: Any, name: str, length: int) -> Array:
    try:
        values = np.asarray(entry)
    except ValueError as error:
        raise BadSelection(f"{name} cannot be indexed with {entry!r}") from error
    if values.dtype == bool and values.shape == (length,):
        return np.flatnonzero(values)
    if values.size == 0 and values.ndim == 1:
        return values.astype(np.intp)
    if values.ndim != 1 or values.dtype.kind not in "iu":
        raise BadSelection(
            f"{name} is indexed with an integer, a slice, a list of integers or a mask of {length} booleans, "
            f"not {entry!r}"
        )
    return np.array([_position(int(value), name, length) for value in values], dtype=np.intp)
