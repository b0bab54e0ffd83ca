"""Contact sheets: rows of small pictures, each with a few words below it."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from ...store import placing
from ...store.errors import BadSource
from .thumbnails import FAINT, INK, SIDE, Box, Heat, font, thumbnail

MARGIN, GAP, APART, LINE = 18, 6, 30, 15
"""Pixels: around the sheet, between tiles, between groups of tiles, of a line of a caption."""
NARROWEST = 600
"""Pixels that a sheet of few tiles still has, for its titles."""
BROADEST = 12
"""Tiles beside each other; more of a group go on below."""
MOST_LINES = 3
"""Lines that the first line of a caption takes at most."""
MOST = 600
"""Tiles of one sheet: more are no longer looked at."""


@dataclass(frozen=True, slots=True, eq=False)
class Tile:
    """One picture of a sheet."""

    picture: Image.Image | str
    """An RGB image; or in two words why there is none, which a grey tile says."""
    caption: str = ""
    """What stands below it, a line or several of a tile's width: the first is broken, others are cut."""
    box: Box | None = None
    """A frame to draw: left, top, right, bottom in pixels of the image, the last two exclusive."""
    heat: Heat | None = None
    """A grid of any size "y x" to lay over it; red is above zero, blue below, NaN where nothing is known."""

    def __post_init__(self) -> None:
        if self.box is not None and not (self.box[0] < self.box[2] and self.box[1] < self.box[3]):
            raise BadSource(f"the box {self.box} of a tile is empty: it is left, top, right, bottom")
        if self.heat is not None and (
            self.heat.ndim != 2 or not np.isfinite(self.heat).any() or np.isinf(self.heat).any()
        ):
            raise BadSource(
                f"the heat of a tile is a grid of finite numbers, y by x; this has shape {self.heat.shape}"
            )


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """Tiles that belong together, under a title."""

    groups: Sequence[Sequence[Tile]]
    """The tiles, in groups that stand apart, such as a high and a low end; a row has one scale of heat."""
    title: str = ""
    """What they have in common."""
    subtitle: str = ""
    """What else is known of it."""


@dataclass(frozen=True, slots=True, eq=False)
class ContactSheet:
    """Rows of pictures; a notebook shows it, and `save` writes it as a PNG file."""

    rows: Sequence[Row]
    """The rows, from top to bottom."""
    title: str = ""
    """What all of it is about."""
    subtitle: str = ""
    """What else is known of it."""
    headings: Sequence[str] = ()
    """A word for each group of tiles, above the first row."""

    def __post_init__(self) -> None:
        count = sum(len(group) for row in self.rows for group in row.groups)
        if not 0 < count <= MOST:
            raise BadSource(
                f"a contact sheet has from 1 to {MOST} tiles, not {count:,}; narrow what it shows"
            )

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write the sheet as a PNG file, whatever the name ends in; gives the path.

        Raises `BadDestination` where no file can be written, or one is there (without `overwrite`).
        """
        dest = Path(path)
        placing.check(dest, folder=False, overwrite=overwrite)
        png = self._repr_png_()
        with placing.placed(dest, overwrite=overwrite) as partial, placing.writing(dest):
            partial.write_bytes(png)
        return dest

    def _repr_png_(self) -> bytes:
        sink = io.BytesIO()
        self.draw().save(sink, "PNG", optimize=True)
        return sink.getvalue()

    def draw(self) -> Image.Image:
        """Draw the sheet."""
        columns = self._columns()
        width = max(NARROWEST, 2 * MARGIN + sum(map(_breadth, columns)) + APART * (len(columns) - 1))
        heights = [_height(row, columns) for row in self.rows]
        head = (34 if self.title else 0) + (22 if self.subtitle else 0) + (24 if any(self.headings) else 0)
        page = Image.new("RGB", (width, 2 * MARGIN + head + sum(heights)), "white")
        pen = ImageDraw.Draw(page)
        self._words(pen, width, columns)
        y = MARGIN + head
        for row, height in zip(self.rows, heights, strict=True):
            _draw_row(page, pen, row, columns, y)
            y += height
        return page

    def _columns(self) -> list[int]:
        """Give each group's tiles beside each other."""
        groups = max(len(row.groups) for row in self.rows)
        longest = [
            max(len(row.groups[place]) for row in self.rows if place < len(row.groups))
            for place in range(groups)
        ]
        return [max(1, min(each, BROADEST // groups)) for each in longest]

    def _words(self, pen: ImageDraw.ImageDraw, width: int, columns: Sequence[int]) -> None:
        y, room = MARGIN, width - 2 * MARGIN
        if self.title:
            pen.text((MARGIN, y), _cut(self.title, room, 20, bold=True), INK, font(20, bold=True))
            y += 34
        if self.subtitle:
            pen.text((MARGIN, y - 4), _cut(self.subtitle, room, 13), FAINT, font(13))
            y += 22
        for left, heading, count in zip(_lefts(columns), self.headings, columns, strict=False):
            pen.text((left, y), _cut(heading, _breadth(count), 13, bold=True), FAINT, font(13, bold=True))


def _breadth(count: int) -> int:
    return count * (SIDE + GAP) - GAP


def _lefts(columns: Sequence[int]) -> list[int]:
    """Give where each group begins."""
    starts = [MARGIN]
    for count in columns[:-1]:
        starts.append(starts[-1] + _breadth(count) + APART)
    return starts


def _caption_height(row: Row) -> int:
    captions = [tile.caption for group in row.groups for tile in group if tile.caption]
    return LINE * max((len(_lines(caption)) for caption in captions), default=0)


def _lines(caption: str) -> list[tuple[str, str]]:
    """Give the lines of a caption with their colours; its first is broken where it is too long for a tile."""
    first, *others = caption.splitlines() or [""]
    broken = [(line, INK) for line in _broken(first, SIDE - 2, 11)]
    return [*broken, *((_cut(other, SIDE - 2, 11), FAINT) for other in others)]


def _broken(text: str, room: int, size: int) -> list[str]:
    """Break a text between words into lines of so many pixels; of more than `MOST_LINES` the last is cut."""
    lines, left = list[str](), text.split()
    while left and len(lines) < MOST_LINES - 1:
        fits = max(1, sum(_long(" ".join(left[: n + 1]), size) <= room for n in range(len(left))))
        lines.append(_cut(" ".join(left[:fits]), room, size))
        left = left[fits:]
    return [*lines, _cut(" ".join(left), room, size)] if left else lines


def _height(row: Row, columns: Sequence[int]) -> int:
    """Count the pixels of a row: its words, and as many lines of tiles as its longest group takes."""
    lines = max(-(-len(group) // count) for group, count in zip(row.groups, columns, strict=False))
    words = 26 if row.title or row.subtitle else 0
    return words + lines * (SIDE + _caption_height(row) + GAP) + 10


def _draw_row(page: Image.Image, pen: ImageDraw.ImageDraw, row: Row, columns: Sequence[int], y: int) -> None:
    if row.title or row.subtitle:
        room = page.width - 2 * MARGIN
        title = _cut(row.title, room, 14, bold=True)
        pen.text((MARGIN, y + 3), title, INK, font(14, bold=True))
        used = _long(title, 14, bold=True) + (14 if title else 0)
        pen.text((MARGIN + used, y + 5), _cut(row.subtitle, room - used, 12), FAINT, font(12))
        y += 26
    hottest = [
        float(np.nanmax(np.abs(tile.heat))) for group in row.groups for tile in group if tile.heat is not None
    ]
    down = SIDE + _caption_height(row) + GAP
    for left, group, count in zip(_lefts(columns), row.groups, columns, strict=False):
        for place, tile in enumerate(group):
            corner = (left + place % count * (SIDE + GAP), y + place // count * down)
            _draw_tile(page, pen, tile, corner, max(hottest, default=1.0))


def _draw_tile(
    page: Image.Image, pen: ImageDraw.ImageDraw, tile: Tile, corner: tuple[int, int], top: float
) -> None:
    x, y = corner
    page.paste(thumbnail(tile.picture, box=tile.box, heat=tile.heat, top=top), corner)
    for line, (words, colour) in enumerate(_lines(tile.caption)):
        pen.text((x + 1, y + SIDE + 2 + line * LINE), words, colour, font(11))


def _long(text: str, size: int, *, bold: bool = False) -> int:
    return int(np.ceil(font(size, bold=bold).getlength(text)))


def _cut(text: str, room: int, size: int, *, bold: bool = False) -> str:
    """Cut a text to so many pixels, on one line."""
    text = " ".join(text.split())
    if _long(text, size, bold=bold) <= room:
        return text
    if _long("…", size, bold=bold) > room:
        return ""
    while text and _long(f"{text}…", size, bold=bold) > room:
        text = text[:-1]
    return f"{text.rstrip()}…"
