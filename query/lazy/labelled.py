"""The rows of an array with the classes that its set gives them, as a torch dataset."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np

from ...store.errors import BadSource, UnknownName
from ...store.sets import ImageSet, TextSet
from ...store.views import Array, ArrayView
from .selection import Selection

if TYPE_CHECKING:
    from ...compute.torch_data import ViewDataset
    from .array import LazyArray

COLUMNS = {"image": ("label", "grp"), "text": ("category",)}
"""The columns of sets that can serve as classes, by the axis that the set's entries lie along."""
BESIDE = {"image": ("image_id", "path", "label", "grp"), "text": ("text_id", "text", "category")}
"""The columns of sets that stand along an axis; the first identifies the entry, and `sel` selects by it."""


def entries_along(view: ArrayView, axis: str) -> ImageSet | TextSet | None:
    """Give the set whose entries are the positions of an axis; None where they are of no set."""
    if axis not in COLUMNS or axis not in view.dims:
        return None
    kind = ImageSet if axis == "image" else TextSet
    found = [each for each in view.sources() if isinstance(each, kind)]
    length = view.shape[view.dims.index(axis)]
    return next((each for each in found if len(each) == length), None)


def dataset(
    array: LazyArray, selection: Selection, label: str | None, missing: Literal["fill", "raise"]
) -> ViewDataset:
    """Make a torch dataset of a selection; see `LazyArray.dataset`."""
    from ...compute.torch_data import ViewDataset

    labels = None if label is None else _labels(array._view, label)
    reading = array._reading
    units = reading.touched(selection)
    gone = reading.having(units, missing, lambda: reading.absent(units))
    order = selection.order
    places = order[~np.isin(order, list(gone))]
    skipped = {"unreadable": len(order) - len(places)}
    read = partial(_read, array, selection, missing)
    if labels is None:
        return ViewDataset(read, places, None, (), skipped, array._view.title())
    classes = sorted({each for each in labels if each is not None})
    number_of = {name: number for number, name in enumerate(classes)}
    numbers = np.array([-1 if each is None else number_of[each] for each in labels], np.int64)
    known = places[numbers[places] >= 0]
    skipped["unlabelled"] = len(places) - len(known)
    return ViewDataset(read, known, numbers[known], classes, skipped, array._view.title())


def _labels(view: ArrayView, column: str) -> list[str | None]:
    """Give the class of each position of the first axis, so that classes are those of the whole set."""
    entries, known = entries_along(view, view.dims[0]), COLUMNS.get(view.dims[0], ())
    if entries is None or column not in known:
        hint = "label=None gives the rows alone"
        raise UnknownName(f"labels along the axis {view.dims[0]} of {view.name()}", column, known, hint)
    labels: list[str | None] = entries.entries[column].to_pylist()
    if not any(label is not None for label in labels):
        raise BadSource(
            f"none of the {len(labels)} entries of {entries.name!r} has a {column}; "
            "add the set again with them, or label=None gives the rows alone"
        )
    return labels


def _read(array: LazyArray, selection: Selection, missing: Literal["fill", "raise"], places: Array) -> Array:
    """Read some rows of a selection; a function by itself, so that it goes to other processes."""
    return array._reading.read(selection.at(places), missing)
