"""An array gone through in order, a batch of rows at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ...store.errors import BadSource
from ...store.views import Array
from .reading import Absent, Reading
from .selection import Selection


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Some rows of an array, in order."""

    positions: Array
    """Where they stand along the first axis: image ids or text ids, where it is one of those."""
    values: Array
    """The rows, as many as positions."""

    def __len__(self) -> int:
        return len(self.positions)


def batches(
    reading: Reading, selection: Selection, size: int, missing: Literal["fill", "raise"], absent: Absent
) -> Iterator[Batch]:
    """Give a selection a batch at a time; see `LazyArray.iter_batches`."""
    if size < 1:
        raise BadSource(f"batch_size={size}: it starts at 1")
    return _batches(reading, selection, size, missing, absent)


def _batches(
    reading: Reading, selection: Selection, size: int, missing: Literal["fill", "raise"], absent: Absent
) -> Iterator[Batch]:
    order = selection.order
    for start in range(0, len(order), size):
        found = Batch(*reading.rows(selection.at(order[start : start + size]), missing, absent))
        if len(found):
            yield found
