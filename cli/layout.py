"""A table of plain text: numbers to the right, long texts folded where a terminal is too narrow."""

from __future__ import annotations

import math
import os
import shutil
import sys
import textwrap
import unicodedata
from collections.abc import Sequence
from typing import Any

GAP = "  "
NARROWEST = 16
"""Text columns are not folded to fewer characters than that."""
VECTOR = 8
"""Longer lists of numbers are shown by their first three; other formats have them whole."""
DIGITS = 4
"""Significant digits of the largest number in a column."""


def width() -> int | None:
    """Give the width to keep to: the terminal's, or $COLUMNS; None where rows may be as long as they are."""
    if os.environ.get("COLUMNS", "").isdigit() or sys.stdout.isatty():
        return shutil.get_terminal_size().columns
    return None


def layout(columns: Sequence[str], rows: Sequence[Sequence[Any]], width: int | None = None) -> str:
    """Lay out rows under a header; rows are as long as their texts unless a width is given."""
    table = [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in columns]
    numbers = [_is_numeric(column) for column in table]
    cells = [
        _numbers(column) if right else _texts(column) for column, right in zip(table, numbers, strict=True)
    ]
    sizes = [max(map(_length, [name, *column])) for name, column in zip(columns, cells, strict=True)]
    if width is not None:
        sizes = _narrowed(sizes, numbers, width)
    header = [_folded(name, size) for name, size in zip(columns, sizes, strict=True)]
    lines = [_line(header, sizes, numbers)]
    lines.append(GAP.join("─" * size for size in sizes))
    for row in zip(*cells, strict=True):
        folded = [_folded(cell, size) for cell, size in zip(row, sizes, strict=True)]
        lines.append(_line(folded, sizes, numbers))
    if not rows:
        lines.append("(no rows)")
    return "\n".join(lines) + "\n"


def _is_numeric(column: Sequence[Any]) -> bool:
    there = [value for value in column if value is not None]
    return bool(there) and all(isinstance(each, int | float) and not isinstance(each, bool) for each in there)


def _numbers(column: Sequence[Any]) -> list[str]:
    """Write numbers of a column with as many places as tell them apart."""
    if not any(isinstance(value, float) for value in column):
        return ["" if value is None else str(value) for value in column]
    finite = [abs(value) for value in column if value is not None and math.isfinite(value)]
    largest = max(finite, default=0.0)
    places = DIGITS if largest < 1 else max(2, DIGITS - 1 - math.floor(math.log10(largest)))
    written = [_number(value, places) for value in column]
    while places > 0 and all(_is_round(each) for each in written):
        places -= 1
        written = [_number(value, places) for value in column]
    return written


def _number(value: float | None, places: int) -> str:
    if value is None:
        return ""
    if not math.isfinite(value):
        return str(value)
    fixed = f"{value:.{places}f}"
    return fixed if abs(float(fixed) - value) <= 0.05 * abs(value) else f"{value:.1e}"


def _is_round(written: str) -> bool:
    """Tell whether a number loses nothing with its last place."""
    return "." not in written or "e" in written or written.endswith("0")


def _texts(column: Sequence[Any]) -> list[str]:
    return [_text(value) for value in column]


def _text(value: Any) -> str:
    """Write a value on one line, without characters that a terminal would obey."""
    if value is None:
        return ""
    if isinstance(value, list | tuple) and all(isinstance(each, str) for each in value):
        value = "; ".join(value)
    if isinstance(value, list | tuple) and len(value) > VECTOR:
        first = ", ".join(f"{each:.4g}" if isinstance(each, float) else str(each) for each in value[:3])
        value = f"[{first}, …] of {len(value)}"
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in str(value))


def _narrowed(sizes: Sequence[int], numbers: Sequence[bool], width: int) -> list[int]:
    """Take from the widest text column until the line fits, or no text column can give more."""
    sizes = [size if right else min(size, width) for size, right in zip(sizes, numbers, strict=True)]
    while sum(sizes) + len(GAP) * (len(sizes) - 1) > width:
        wide = [place for place, right in enumerate(numbers) if not right and sizes[place] > NARROWEST]
        if not wide:
            break
        sizes[max(wide, key=lambda place: sizes[place])] -= 1
    return sizes


def _folded(cell: str, size: int) -> list[str]:
    if _length(cell) <= size:
        return [cell]
    return textwrap.wrap(cell, size if _length(cell) == len(cell) else size // 2) or [""]


def _line(cells: Sequence[Sequence[str]], sizes: Sequence[int], numbers: Sequence[bool]) -> str:
    """Join folded cells to as many lines as the tallest takes."""
    lines = []
    for level in range(max(map(len, cells), default=1)):
        shown = [
            _padded(cell[level] if level < len(cell) else "", size, right)
            for cell, size, right in zip(cells, sizes, numbers, strict=True)
        ]
        lines.append(GAP.join(shown).rstrip())
    return "\n".join(lines)


def _padded(text: str, size: int, right: bool) -> str:
    space = " " * (size - _length(text))
    return space + text if right else text + space


def _length(text: str) -> int:
    """Count the places that a text takes on a terminal."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(each) else 2 if unicodedata.east_asian_width(each) in "WF" else 1
        for each in text
    )
