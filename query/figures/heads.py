"""One picture of a model's heads: what each writes about, and the images of which it says so most."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..seeing.heads import Head, Names, clear_heads, descriptions, foremost
from ..seeing.thumbnails import FAINT, INK, image_or_why, thumbnail

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..store import Store

HEADS, IMAGES, TEXTS, LAYERS, CATEGORIES = 7, 9, 3, 4, 12
"""At most so many heads, images of each, texts of each, last layers and categories are shown."""
WIDTH, ROW, STEP = 13.0, 1.18, 0.3
"""Inches: of the picture, of the row of one head, of the line of one category."""
MAP = "YlGnBu"

SHARES = """
SELECT layer, head, category, sum(variance) AS share
FROM head_descriptions JOIN texts USING (text_set, text_id)
WHERE model = $model AND image_set = $images AND text_set = $texts AND category IS NOT NULL
GROUP BY ALL
ORDER BY layer, head, category
"""


def draw(store: Store, names: Names) -> Figure:
    """Draw what the heads of a model are about; what is missing is filled first.

    Above, for each head of the last layers, the share of its variance along the texts of each category;
    below, a row for each of the clearest heads: its role, its first descriptions, and the images whose
    embedding it moves farthest towards the first of them.
    """
    from matplotlib.figure import Figure

    heads = clear_heads(store, names, HEADS)
    table, places, categories = _shares(store, names)
    strip, rows = 0.9 + STEP * len(categories), ROW * len(heads)
    figure = Figure(figsize=(WIDTH, 1.5 + strip + rows), facecolor="white")
    parts: Any = figure.subfigures(3, 1, height_ratios=[0.75, strip + 0.55, rows])
    _title(parts[0], store, names)
    if len(categories):
        _strip(parts[1], table, places, categories, heads)
    _rows(parts[2], store, names, heads)
    return figure


def _title(part: Any, store: Store, names: Names) -> None:
    found = store.sql("SELECT images FROM image_sets WHERE image_set = $images", {"images": names.images})
    count = found.fetchall()[0][0]
    part.text(0.015, 0.52, f"What the heads of “{names.model}” write", size=17, weight="bold", color=INK)
    told = f"over the {count:,} images of “{names.images}”, in the texts of “{names.texts}”"
    part.text(0.015, 0.12, told, size=11, color=FAINT)


def _shares(store: Store, names: Names) -> tuple[Any, list[tuple[int, int]], list[str]]:
    """Give the shares of variance "category head", the heads (layer, head) and the categories."""
    rows = store.sql(SHARES, names.bound).fetchall()
    last = max((layer for layer, *_ in rows), default=0)
    rows = [row for row in rows if row[0] > last - LAYERS]
    places = sorted({(layer, head) for layer, head, *_ in rows})
    total: dict[str, float] = {}
    for *_, category, share in rows:
        total[category] = total.get(category, 0.0) + share
    categories = sorted(total, key=lambda category: -total[category])[:CATEGORIES]
    table = np.zeros((len(categories), len(places)))
    for layer, head, category, share in rows:
        if category in categories:
            table[categories.index(category), places.index((layer, head))] = share
    return table, places, categories


def _strip(
    part: Any, table: Any, places: Sequence[tuple[int, int]], categories: Sequence[str], heads: Sequence[Head]
) -> None:
    """Draw heads × categories; a frame says which category is a head's role."""
    from matplotlib.patches import Rectangle

    axes: Axes = part.subplots(gridspec_kw={"left": 0.12, "right": 0.985, "top": 0.8, "bottom": 0.16})
    axes.imshow(table, aspect="auto", cmap=MAP, vmin=0, vmax=max(0.01, float(table.max())))
    axes.set_yticks(range(len(categories)), categories, size=10, color=INK)
    axes.set_xticks(range(len(places)), [str(head) for _, head in places], size=9, color=INK)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    for place, (layer, head) in enumerate(places):
        if head == 0:
            members = sum(each == layer for each, _ in places)
            axes.text(place + (members - 1) / 2, -0.72, f"layer {layer}", ha="center", size=10, color=INK)
            if place:
                axes.axvline(place - 0.5, color="white", lw=4)
    if len(places) <= 24:
        _numbers(axes, table)
    for each in heads:
        if each.role in categories and (each.layer, each.head) in places:
            corner = (places.index((each.layer, each.head)) - 0.46, categories.index(each.role) - 0.44)
            axes.add_patch(Rectangle(corner, 0.92, 0.88, fill=False, ec="#d1495b", lw=2.2))
    told = "Share of each head's variance along the texts of a category, in per cent"
    part.text(0.12, 0.92, told, size=11, weight="bold", color=INK)
    if axes.patches:
        said = "framed: the role of a head that is shown below, the clearest of each role first"
        part.text(0.985, 0.02, said, size=9, color=FAINT, ha="right")
    axes.text(-0.62, len(categories) - 0.16, "head", size=9, color=FAINT, ha="right", va="center")


def _numbers(axes: Axes, table: Any) -> None:
    for (row, column), share in np.ndenumerate(table):
        colour = "white" if share > 0.6 * table.max() else INK
        axes.text(column, row, f"{100 * share:.0f}", ha="center", va="center", size=9, color=colour)


def _rows(part: Any, store: Store, names: Names, heads: Sequence[Head]) -> None:
    """Draw the clearest heads, one a row."""
    grid = part.add_gridspec(
        len(heads),
        IMAGES + 4,
        left=0.015,
        right=0.985,
        top=1 - 0.1 / max(1, len(heads)),
        bottom=0.02,
        wspace=0.06,
        hspace=0.14,
    )
    for row, head in enumerate(heads):
        said = descriptions(store, names, head, TEXTS)
        words: Axes = part.add_subplot(grid[row, :4])
        words.axis("off")
        _words(words, head, said)
        if not said:
            continue
        for column, image in enumerate(foremost(store, names, head, said[0], IMAGES)):
            axes: Axes = part.add_subplot(grid[row, 4 + column])
            axes.axis("off")
            axes.imshow(thumbnail(image_or_why(store, names.images, image)))


def _words(axes: Axes, head: Head, said: Sequence[Any]) -> None:
    size = 14 if head.role != "none" else 11
    axes.text(0, 0.93, head.about, size=size, weight="bold", color=INK, va="top")
    axes.text(0.98, 0.9, head.title, size=9.5, color=FAINT, va="top", ha="right")
    for line, each in enumerate(said):
        shown = each.description if len(each.description) <= 40 else f"{each.description[:39]}…"
        weight = "bold" if line == 0 else "normal"
        axes.text(0, 0.6 - 0.23 * line, shown, size=10, color=INK, va="top", weight=weight)
        axes.text(
            0.98,
            0.6 - 0.23 * line,
            f"{100 * each.variance:.0f} %",
            size=10,
            color=FAINT,
            va="top",
            ha="right",
        )
