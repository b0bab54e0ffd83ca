"""A figure of one head: its descriptions, and the images at both ends of the first of them."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from ...store.errors import BadSource
from ..seeing.thumbnails import FAINT, INK, image_or_why, thumbnail
from ..seeing.top import Head, read_place
from .style import COLOURS, cut, plain, titled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..store import Store

BARS, ROWS, IMAGES = 10, 3, 5
"""At most so many descriptions, rows of images, and images at each end."""
ROLE = """
SELECT role, runner_up FROM head_roles
WHERE model = $model AND image_set = $images AND text_set = $texts AND layer = $layer AND head = $head
"""
SHARE = """
SELECT coalesce(sum(variance), 0) FROM head_descriptions JOIN texts USING (text_set, text_id)
WHERE model = $model AND image_set = $images AND text_set = $texts AND layer = $layer AND head = $head
  AND category = $role
"""
SAID = """
SELECT description, category, variance
FROM head_descriptions JOIN texts USING (text_set, text_id)
WHERE model = $model AND image_set = $images AND text_set = $texts AND layer = $layer AND head = $head
ORDER BY rank LIMIT $count
"""


def draw(store: Store, place: str, inputs: Mapping[str, Any]) -> Figure:
    """Draw a head; what is missing is filled first. `BadSource` where `place` is no head."""
    from matplotlib.figure import Figure

    found = read_place(place)
    if not isinstance(found, Head):
        raise BadSource(f"{place!r} is a neuron; a head is LAYER.HEAD, such as 3.1")
    top = store.top(place, **inputs, count=IMAGES, progress=False)  # refuses heads that there are not
    bound = {**inputs, "layer": found.layer, "head": found.head}
    store.view("head_roles", **inputs).where("layer = ?", found.layer).fill(progress=False)
    said = store.sql(SAID, {**bound, "count": BARS}).fetchall()
    role, runner_up = store.sql(ROLE, bound).fetchall()[0]
    ((share,),) = store.sql(SHARE, {**bound, "role": role}).fetchall()
    shown = [each for each in dict.fromkeys(top.rows.direction) if each in {text for text, *_ in said}][:ROWS]
    figure = Figure(figsize=(13, 1.3 + max(0.34 * len(said), 1.05 * len(shown))), facecolor="white")
    about = (
        f"{role}, {100 * share:.0f} % of its variance" if role != "none" else f"no clear role ({runner_up}?)"
    )
    titled(
        figure,
        f"Head {found.head} of layer {found.layer} in “{inputs['model']}”: {about}",
        f"over the images of “{inputs['images']}”, in the texts of “{inputs['texts']}”",
    )
    above = 1 - 0.95 / figure.get_size_inches()[1]
    _bars(figure.add_axes((0.22, 0.1, 0.2, above - 0.12)), said)
    _images(figure, store, top.rows, shown, inputs["images"], above)
    return figure


def _bars(axes: Any, said: list[tuple[Any, ...]]) -> None:
    kinds = list(dict.fromkeys(category for _, category, _ in said))
    colour = {kind: COLOURS[at % len(COLOURS)] for at, kind in enumerate(kinds)}
    places = range(len(said))
    bars = axes.barh(places, [100 * each[2] for each in said], color=[colour[kind] for _, kind, _ in said])
    axes.bar_label(bars, fmt="%.0f %%", size=9, color=FAINT, padding=3)
    broken = ["\n".join(wrap(text, 34, max_lines=2, placeholder=" …")) for text, *_ in said]
    axes.set_yticks(places, broken, size=9, linespacing=0.95)
    axes.invert_yaxis()
    plain(axes, "Share of its variance", grid="x")
    axes.set_xticks([])
    named = [kind for kind in kinds if kind]
    if named:
        patches = [axes.barh(0, 0, color=colour[kind]) for kind in named]
        axes.legend(patches, named, loc="lower right", frameon=False, fontsize=9, labelcolor=INK)


def _images(figure: Any, store: Store, rows: Any, shown: list[str], images: str, above: float) -> None:
    left, gap, width = 0.47, 0.012, (0.985 - 0.47 - 0.02) / (2 * IMAGES)
    height = above / max(1, len(shown))
    for line, direction in enumerate(shown):
        mine = rows[rows.direction == direction]
        ends = [mine[mine["rank"] >= 0], mine[mine["rank"] < 0].iloc[::-1]]
        bottom = above - (line + 1) * height
        figure.text(
            left, bottom + height - 0.015, cut(direction, 60), size=10, weight="bold", color=INK, va="top"
        )
        for end, part in enumerate(ends):
            for at, image in enumerate(part.image_id[:IMAGES]):
                x = left + (end * IMAGES + at) * width + end * 0.02
                axes = figure.add_axes(
                    (x, bottom + 0.01, width - gap / 3, height - 0.28 / figure.get_size_inches()[1])
                )
                axes.axis("off")
                axes.imshow(thumbnail(image_or_why(store, images, int(image))))
            if line == 0:
                x = left + end * (IMAGES * width + 0.02)
                word = "written most for" if end == 0 else "and least for"
                figure.text(x, above + 0.02, word, size=9.5, color=FAINT)
