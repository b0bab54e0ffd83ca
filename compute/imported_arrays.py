"""What an array has to be before it is imported: finite numbers that float32 holds."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ..store.errors import BadSource
from ..store.views import Array
from .array_files import FileArray, Tick


def check(
    array: FileArray, spans: Iterable[tuple[int, int]], *, narrow: bool, absent_nan: bool, tick: Tick
) -> dict[int, str]:
    """Read an array once, and give its rows that are no numbers, with the reason.

    These are rows of nothing but NaN, and admitted with `absent_nan` alone. float64 that float32 does not
    hold exactly is admitted with `narrow` alone. Raises `BadSource` for anything else that is not finite in
    float32, naming the first row. `tick` is told how many rows were read.
    """
    absent: dict[int, str] = {}
    for start, stop in spans:
        values = array.rows(start, stop).reshape(stop - start, -1)
        _look(array, start, values, absent, absent_nan)
        if array.dtype == "float64":
            _look_wide(array, start, values, narrow)
        tick(stop - start)
    return absent


def _look(array: FileArray, start: int, values: Array, absent: dict[int, str], absent_nan: bool) -> None:
    """Refuse numbers that are not finite; note rows of NaN where they are admitted."""
    for row in np.flatnonzero(~np.isfinite(values).all(axis=1)).tolist():
        place = f"row {start + row} of {array.name}"
        if not np.isnan(values[row]).all():
            raise BadSource(f"{place} has numbers that are NaN or infinite; nothing was imported")
        if not absent_nan:
            raise BadSource(
                f"{place} is all NaN; absent_nan=True (--absent-nan) takes it as an image that could not be "
                "read; nothing was imported"
            )
        absent[start + row] = f"its row in {array.name} is NaN"


def _look_wide(array: FileArray, start: int, values: Array, narrow: bool) -> None:
    """Refuse float64 that is too large for float32, or would be rounded unless that is asked for."""
    kept = narrowed(values)
    large = np.isinf(kept).any(axis=1)
    rounded = ((kept != values) & ~np.isnan(values)).any(axis=1)
    if large.any():
        first = start + int(large.argmax())
        raise BadSource(
            f"row {first} of {array.name} has numbers too large for float32; nothing was imported"
        )
    if rounded.any() and not narrow:
        raise BadSource(
            f"row {start + int(rounded.argmax())} of {array.name} has float64 numbers that float32, in which "
            "arrays are kept, does not hold exactly; narrow=True (--narrow) rounds them; nothing was imported"
        )


def narrowed(values: Array) -> Array:
    """Bring numbers to float32, which rounds float64 alone."""
    with np.errstate(over="ignore"):
        return np.asarray(values, np.float32)
