"""The table that Network Dissection (Bau et al.) writes: the best concept of a unit, and of each category.

Units count from 1 there. A category's concept has five columns, `color-label`, `color-iou` and so on; the
layer is in no column. Labels end in `-c` for colours and `-s` for scenes, which are no part of the word.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from .entries import Adapter, Cells, Label, Place, Unreadable, number, numbers

CATEGORY = re.compile(r"(\w+)-(label|truth|activation|intersect|iou)")
MARKS = {"color": "-c", "scene": "-s"}
"""What is put behind the words of a category."""


def _read(place: Place, cells: Cells) -> Iterator[Label]:
    """Give the unit's label, and those of the other categories with something found, by falling IoU."""
    category, score = cells["category"].strip().lower(), number(cells, "score")
    known = number(cells, f"{category}-iou") if f"{category}-iou" in cells else score
    if known != score:
        raise Unreadable(f"score {score} is not the IoU {known} of its category {category}")
    yield _label(place, 0, category, cells["label"], score, cells)
    others = [
        (number(cells, column) or 0.0, name)
        for column in cells
        if (name := column.removesuffix("-iou")) != column and name != category
    ]
    found = [(iou, name) for iou, name in others if cells.get(f"{name}-label", "").strip()]
    for rank, (iou, name) in enumerate(sorted(found, key=lambda each: -each[0]), 1):
        yield _label(place, rank, name, cells[f"{name}-label"], iou, cells)


def _label(place: Place, rank: int, category: str, raw: str, score: float | None, cells: Cells) -> Label:
    text = raw.strip().removesuffix(MARKS.get(category, ""))
    more = numbers(cells, {name: f"{category}-{name}" for name in ("truth", "activation", "intersect")})
    return Label(place, rank, raw, text, score, "iou", more=more)


ADAPTER = Adapter(
    "netdissect",
    1,
    "labels",
    frozenset({"unit", "category", "label", "score"}),
    _read,
    pattern=CATEGORY,
    example="color-label",
    base=1,
)
