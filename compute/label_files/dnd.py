"""Labels of Describe-and-Dissect (Bai et al.): `Neuron ID` with `label`, or with `Label 1` and so on.

Files of candidates have `Concept 0`, `Concept 1`, … instead. Layer and model are in no column.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from .entries import Adapter, Cells, Label, Place

TEXTS = re.compile(r"label( \d+)?|concept \d+")


def _read(place: Place, cells: Cells) -> Iterator[Label]:
    """Give the texts in the order of their columns' numbers; the file has no scores."""
    columns = sorted((each for each in cells if TEXTS.fullmatch(each)), key=_number)
    for rank, column in enumerate(columns):
        yield Label(place, rank, cells[column], cells[column])


def _number(column: str) -> int:
    found = column.rpartition(" ")[2]
    return int(found) if found.isdecimal() else 0


ADAPTER = Adapter(
    "dnd", 1, "labels", frozenset({"neuron id"}), _read, pattern=TEXTS, example="Label 1", unit="neuron id"
)
