"""What a row of somebody's label file says, before it is known of which model it is said."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["labels", "ratings", "scores"]
"""What a file holds: labels of neurons, what people thought of labels, or how labels were measured."""
Cells = Mapping[str, str]
"""A row of a file: its cells as they stand, by the column's name in lower case."""


@dataclass(frozen=True, slots=True)
class Place:
    """The neuron that a row is about."""

    line: int
    """The line of the file in which the row begins, from 1."""
    layer: str | None
    """The layer as the file calls it; None where the file has no such column."""
    unit: int
    """The unit as the file counts it."""


@dataclass(frozen=True, slots=True)
class Label:
    """One label of a neuron, or of a group of neurons."""

    place: Place
    """The neuron."""
    rank: int
    """Its rank among the labels of the neuron, from 0."""
    raw: str
    """The text as it stands in the file."""
    text: str
    """The part of it that is the label; the same but where a format adds a mark of its own."""
    score: float | None = None
    """How well it fits, in the method's own measure; comparable inside one file only."""
    score_name: str | None = None
    """What the score is."""
    group: str | None = None
    """The units that the label is of together, as the file lists them; None where it is of one."""
    more: Mapping[str, float] = field(default_factory=dict)
    """Other numbers that the file has for this label, by name."""


@dataclass(frozen=True, slots=True)
class Rating:
    """What one person thought of one label."""

    place: Place
    """The neuron."""
    method: str
    """The method that gave the label."""
    raw: str
    """The label as it stands in the file."""
    rater: str
    """Who rated."""
    rating: float | None
    """The rating; None where the cell is empty."""
    exemplars: str | None = None
    """Which exemplars were shown, in the file's words; None where it does not say."""
    note: str | None = None
    """What else the person said."""


@dataclass(frozen=True, slots=True)
class Score:
    """One measurement of a label."""

    place: Place
    """The neuron."""
    raw: str
    """The label as it stands in the file."""
    name: str
    """What was measured."""
    value: float
    """The number."""


Entry = Label | Rating | Score


class Unreadable(Exception):
    """Why a row says nothing that can be kept."""


@dataclass(frozen=True, slots=True)
class Adapter:
    """One published format of files."""

    name: str
    """What the format is called."""
    version: int
    """Raised when the same file would be read otherwise."""
    kind: Kind
    """What such a file holds."""
    required: frozenset[str]
    """Columns that it must have, in lower case."""
    read: Callable[[Place, Cells], Iterable[Entry]]
    """Reads a row of which the unit is known; `Unreadable` says what is wrong with it."""
    optional: frozenset[str] = frozenset()
    """Columns that it may have."""
    pattern: re.Pattern[str] | None = None
    """What other columns of the format look like, of which it must have one."""
    example: str = ""
    """One of those, for messages."""
    unit: str = "unit"
    """The column of units."""
    layer: str | None = None
    """The column of layers, where the format has one."""
    base: Literal[0, 1] = 0
    """The number of the first unit."""
    groups: bool = False
    """Whether that column may have several units, with commas between them."""
    repeats: bool = False
    """Whether a neuron has a row for each of several annotators."""
    also_like: str | None = None
    """A format with the same header, so that the name has to be said."""

    def fits(self, columns: Iterable[str]) -> bool:
        """Tell whether a header has what the format asks for, and nothing that it does not know."""
        there = set(columns)
        return self.lacks(there) == [] and self.ignored(there) == []

    def lacks(self, columns: Iterable[str]) -> list[str]:
        """List what a header lacks."""
        there = set(columns)
        lacking = sorted(self.required - there)
        if self.pattern is not None and not any(map(self.pattern.fullmatch, there)):
            lacking.append(f"column such as {self.example}")
        return lacking

    def ignored(self, columns: Iterable[str]) -> list[str]:
        """List the columns that are not read."""
        known = self.required | self.optional | {self.unit, self.layer}
        rest = sorted(set(columns) - known)
        return [each for each in rest if self.pattern is None or not self.pattern.fullmatch(each)]


def number(cells: Cells, column: str) -> float | None:
    """Read a cell as a finite number; None for an empty one, `Unreadable` for anything else."""
    text = cells[column].strip()
    if not text:
        return None
    try:
        value = float(text) if "_" not in text else math.nan  # Python reads 1_000, and nobody else does
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise Unreadable(f"{column} {text!r} is no finite number")
    return value


def check_share(column: str, value: float | None) -> None:
    """Refuse a number that is to be a share, and is not from 0 to 1."""
    if value is not None and not 0 <= value <= 1:
        raise Unreadable(f"{column} {value:g} is not from 0 to 1")


def numbers(cells: Cells, columns: Mapping[str, str]) -> dict[str, float]:
    """Read some cells as numbers, under other names; those that are empty or not there are left out."""
    found = {name: number(cells, column) for name, column in columns.items() if column in cells}
    return {name: value for name, value in found.items() if value is not None}
