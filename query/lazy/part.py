"""A part of an array, named axis by axis: `image=0:1000,layer=-1`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...store.errors import BadSelection, UnknownName
from ...store.views import Array, Axis
from .selection import Selection, parse

Select = str | Mapping[str, Any]
"""A text such as `image=0:1000,layer=-1,head=0,3`; or integers, slices, lists and names by axis."""


@dataclass(frozen=True, slots=True)
class Part:
    """What is taken of each axis of an array."""

    names: tuple[str, ...]
    """The names of all axes of the array; a second one of a name has a number: `factor_2`."""
    axes: tuple[Axis, ...]
    """For every axis a slice with a positive step or positions, in the order in which they are read."""
    dropped: tuple[int, ...]
    """Axes that an integer or a name selected: they are missing from the part."""
    asked: str
    """What was asked, as a text; empty where it was everything."""

    @property
    def lengths(self) -> tuple[int, ...]:
        """How many positions are taken along each axis."""
        return self.selection(()).lengths

    @property
    def kept(self) -> tuple[int, ...]:
        """The axes that the part has."""
        return tuple(axis for axis in range(len(self.axes)) if axis not in self.dropped)

    @property
    def dims(self) -> tuple[str, ...]:
        """The names of the part's axes."""
        return tuple(self.names[axis] for axis in self.kept)

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of the part's axes."""
        lengths = self.lengths
        return tuple(lengths[axis] for axis in self.kept)

    def positions(self, axis: int) -> Array:
        """List the positions that are taken along an axis of the array."""
        found = self.axes[axis]
        return np.arange(found.start, found.stop, found.step) if isinstance(found, slice) else found

    def selection(self, block: Sequence[slice]) -> Selection:
        """Give a block of the part, in its own axes, as a selection in the array; an empty block is all."""
        if not block:
            return Selection(self.axes, (), (), None)
        axes = list(self.axes)
        for axis, stretch in zip(self.kept, block, strict=True):
            axes[axis] = _stretch(axes[axis], stretch)
        return Selection(tuple(axes), (), (), None)


def _stretch(axis: Axis, stretch: slice) -> Axis:
    if not isinstance(axis, slice):
        return axis[stretch]
    taken = range(axis.start, axis.stop, axis.step)[stretch]
    return slice(taken.start, taken.stop, taken.step)


def part_of(
    view: str, dims: Sequence[str], shape: Sequence[int], known: Mapping[str, Sequence[str]], select: Select
) -> Part:
    """Find what a text or a mapping takes of an array's axes; `known` are the names along some of them.

    Raises `UnknownName` for an axis or a name that there is not, and `BadSelection` for positions that do not
    fit and for a part that has nothing in it.
    """
    names = distinct(dims)
    asked = dict(_read(select)) if isinstance(select, str) else dict(select)
    for name in asked:
        if name not in names:
            raise UnknownName(f"axis of {view}", name, names)
    axes, dropped = [], []
    for place, (name, length) in enumerate(zip(names, shape, strict=True)):
        entry = _position(asked.get(name, slice(None)), name, known.get(name, ()))
        found = parse((entry,), (name,), (length,))
        if not found.lengths[0]:
            raise BadSelection(f"{name}={_written(asked.get(name, entry))} takes none of the {length}")
        axis = found.axes[0]
        if found.flipped:
            assert isinstance(axis, slice)
            axis = np.arange(axis.start, axis.stop, axis.step)[::-1]
        axes.append(axis)
        dropped += [place] if found.dropped else []
    text = ",".join(f"{name}={_written(entry)}" for name, entry in asked.items())
    return Part(names, tuple(axes), tuple(dropped), text)


def distinct(dims: Sequence[str]) -> tuple[str, ...]:
    """Number axes of one name.

    >>> distinct(("layer", "head", "factor", "factor"))
    ('layer', 'head', 'factor', 'factor_2')
    """
    counts = [list(dims[: place + 1]).count(name) for place, name in enumerate(dims)]
    return tuple(name if n == 1 else f"{name}_{n}" for name, n in zip(dims, counts, strict=True))


def _read(text: str) -> Iterator[tuple[str, Any]]:
    """Take a text apart: each `axis=` has what follows up to the next one.

    >>> dict(_read("image=0:10, layer=0,3, term=embedding"))
    {'image': slice(0, 10, None), 'layer': [0, 3], 'term': 'embedding'}
    """
    found: dict[str, list[str]] = {}
    for word in text.split(",") if text.strip() else ():
        name, equals, value = (each.strip() for each in word.partition("="))
        if equals and name in found:
            raise BadSelection(f"{text!r} names {name} twice; give several positions as {name}=0,3")
        if not equals and not found:
            raise BadSelection(f"{text!r} does not begin with an axis; write image=0:1000,layer=-1")
        if equals:
            found[name] = [value]
        else:
            found[next(reversed(found))].append(name)
    for name, values in found.items():
        entries = [_entry(value) for value in values]
        yield name, entries if len(entries) > 1 else entries[0]


def _entry(value: str) -> Any:
    """Read an integer or a slice; whatever else it is, it is a name."""
    numbers = value.split(":")
    try:
        if len(numbers) == 1:
            return int(value)
        return slice(*(int(number) if number.strip() else None for number in numbers))
    except (TypeError, ValueError):  # slice takes at most three
        return value


def _position(entry: Any, axis: str, names: Sequence[str]) -> Any:
    """Give where names lie along an axis; leave everything else as it is."""
    if isinstance(entry, str):
        if entry not in names:
            raise UnknownName(axis, entry, names, f"{axis}=3, {axis}=0:10 and {axis}=0,3 take positions")
        return list(names).index(entry)
    if isinstance(entry, list | tuple):
        return [_position(each, axis, names) for each in entry]
    return entry


def _written(entry: Any) -> str:
    if isinstance(entry, slice):
        ends = [entry.start, entry.stop, *([] if entry.step is None else [entry.step])]
        return ":".join("" if end is None else str(end) for end in ends)
    if isinstance(entry, str | int):
        return str(entry)
    return ",".join(str(each) for each in entry)
