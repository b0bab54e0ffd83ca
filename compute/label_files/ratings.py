"""What people thought of labels: the wide table of Describe-and-Dissect's study, and a long one of one's own.

The wide one has, for each method, a column `METHOD Label` and one `METHOD E1 Rating` for each rater, and
`Uninterpretable E1` and `None E1` (no label fits) for the neuron as a whole. The long one has a row for each
rating: `unit,method,label,rater,rating` and, where known, `layer`, `exemplars` and `note`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from .entries import Adapter, Cells, Place, Rating, Unreadable, number

WIDE = re.compile(r".+ label|.+ e\d+ rating|(uninterpretable|none) e\d+")
_RATING = re.compile(r"(.+) (e\d+) rating")
_FLAGS = {"uninterpretable": "uninterpretable", "none": "no label fits"}


def _wide(place: Place, cells: Cells) -> Iterator[Rating]:
    """Give one rating for each method and rater, the method in lower case like all columns."""
    rated = [found for column in cells if (found := _RATING.fullmatch(column))]
    if not rated:
        raise Unreadable("there is no column METHOD E1 Rating")
    for found in rated:
        column, (method, rater) = found[0], found.groups()
        if f"{method} label" not in cells:
            raise Unreadable(f"there is no column {method} Label for {column}")
        said = [word for flag, word in _FLAGS.items() if _is_true(cells, f"{flag} {rater}")]
        value, note = number(cells, column), "; ".join(said) or None
        yield Rating(place, method, cells[f"{method} label"], rater.upper(), value, note=note)


def _is_true(cells: Cells, column: str) -> bool:
    said = cells.get(column, "").strip().lower()
    if said not in ("", "true", "false"):
        raise Unreadable(f"{column} {said!r} is neither TRUE nor FALSE")
    return said == "true"


def _long(place: Place, cells: Cells) -> Iterator[Rating]:
    method, rater = cells["method"].strip(), cells["rater"].strip()
    if not method or not rater:
        raise Unreadable("method and rater have to be named")
    shown, note = (cells.get(name, "").strip() or None for name in ("exemplars", "note"))
    yield Rating(place, method, cells["label"], rater, number(cells, "rating"), shown, note)


HUMAN = Adapter(
    "human-ratings",
    1,
    "ratings",
    frozenset({"layer", "unit"}),
    _wide,
    pattern=WIDE,
    example="DnD Label",
    layer="layer",
)
LONG = Adapter(
    "ratings",
    1,
    "ratings",
    frozenset({"unit", "method", "label", "rater", "rating"}),
    _long,
    optional=frozenset({"layer", "exemplars", "note"}),
    layer="layer",
)
