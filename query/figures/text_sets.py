"""A figure of text sets: how much of a classifier the first m texts of each head stand for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..thumbnails import FAINT, INK
from .style import COLOURS, QUIET, plain, titled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..store import Store

KEPT = """
SELECT text_set, classes, kept, m, accuracy FROM text_set_accuracies
WHERE model = $model AND image_set = $images
ORDER BY text_set, kept, m
"""


def draw(store: Store, inputs: Mapping[str, Any], classes: str | None) -> Figure:
    """Draw accuracy against the number of texts a head; the text set is filled, others are drawn if kept."""
    from matplotlib.figure import Figure

    given = {} if classes is None else {"classes": classes}
    table = store.view("text_set_accuracies", **inputs, **given)
    table.fill(progress=False)
    chosen = str(table.df().classes.iloc[0])
    rows = store.sql(KEPT, {name: inputs[name] for name in ("model", "images")}).df()
    rows = rows[rows.classes == chosen]
    figure = Figure(figsize=(9, 5.2), facecolor="white")
    titled(
        figure,
        f"What the heads' first texts keep of “{inputs['model']}”",
        f"accuracy in per cent over “{inputs['images']}”, classes of “{chosen}”",
    )
    axes = figure.add_axes((0.08, 0.11, 0.88, 0.7))
    for at, (name, mine) in enumerate(rows[rows.kept == "texts"].groupby("text_set")):
        colour = COLOURS[at % len(COLOURS)]
        axes.plot(mine.m, 100 * mine.accuracy, color=colour, lw=2, label=f"texts of “{name}”")
    own = rows[rows.text_set == inputs["texts"]]
    random = own[own.kept == "random"]
    if len(random):
        axes.plot(random.m, 100 * random.accuracy, color=FAINT, lw=1.5, ls="--", label="random vectors")
    for kept, said, style in (("heads", "whole heads", "-"), ("model", "the model", ":")):
        value = 100 * own[own.kept == kept].accuracy
        if len(value):
            axes.axhline(value.iloc[0], color=QUIET, lw=1.8, ls=style, label=said)
    axes.legend(loc="lower right", frameon=False, fontsize=10, labelcolor=INK)
    axes.set_xlim(0, float(rows.m.max()))
    axes.set_ylim(0, 102)
    axes.set_xlabel("texts of each head", size=9.5, color=FAINT)
    plain(axes, grid="y")
    return figure
