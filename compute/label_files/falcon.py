"""Labels of FALCON (Kalibhat et al.): ranked words and noun phrases of a unit or of a group of units.

A cell holds a list of pairs, a text and a score, as Python writes it. A group such as `3,17` is of several
units together, so its labels stand at each of them and say so.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from .entries import Adapter, Cells, Label, Place, Unreadable

LISTS = {"concept_set_words": "falcon_words", "concept_set_noun_phrases": "falcon_noun_phrases"}
"""The columns in the order in which their entries are ranked, and what their scores are called."""


def _read(place: Place, cells: Cells) -> Iterator[Label]:
    """Give the words and then the noun phrases, each in the file's order."""
    group = cells["group"].strip() if "," in cells["group"] else None
    found = [(name, *each) for column, name in LISTS.items() for each in _pairs(column, cells[column])]
    if not found:
        yield Label(place, 0, "", "", group=group)
    for rank, (name, text, score) in enumerate(found):
        yield Label(place, rank, text, text, score, name, group)


def _pairs(column: str, cell: str) -> list[tuple[str, float]]:
    """Read a list of pairs; nothing in it is run."""
    if not cell.strip():
        return []
    try:
        listed = ast.literal_eval(cell.strip())
        pairs = [(text, float(score)) for text, score in listed]
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError) as error:
        raise Unreadable(f"{column} is no list of pairs of a text and a score") from error
    if not all(isinstance(text, str) and abs(score) < float("inf") for text, score in pairs):
        raise Unreadable(f"{column} is no list of pairs of a text and a finite score")
    return pairs


ADAPTER = Adapter("falcon", 1, "labels", frozenset({"group", *LISTS}), _read, unit="group", groups=True)
