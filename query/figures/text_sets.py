"""A figure of text sets: how much of a classifier the first m texts of each head stand for."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ...store.errors import MissingUnits
from ..seeing.thumbnails import FAINT, INK
from .style import COLOURS, QUIET, differing, plain, titled

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from ..store import Store


def draw(store: Store, inputs: Mapping[str, Any], parameters: Mapping[str, Any]) -> Figure:
    """Draw accuracy against the number of texts a head; the text set is filled, others are drawn if kept."""
    from matplotlib.figure import Figure

    own = store.view("text_set_accuracies", **inputs, **parameters).df()
    others = _kept(store, inputs, parameters)
    chosen = str(own.classes.iloc[0])
    beside = differing({name: value for name, value in parameters.items() if name != "classes"})
    figure = Figure(figsize=(9, 5.2), facecolor="white")
    titled(
        figure,
        f"What the heads' first texts keep of “{inputs['model']}”",
        f"accuracy in per cent over “{inputs['images']}”, classes of “{chosen}”{beside}",
    )
    axes = figure.add_axes((0.08, 0.11, 0.88, 0.7))
    for at, (name, rows) in enumerate({inputs["texts"]: own, **others}.items()):
        mine, colour = rows[rows.kept == "texts"], COLOURS[at % len(COLOURS)]
        mine = mine[mine.m <= mine.distinct_texts.max()]  # behind the last text of a set nothing changes
        ends: dict[str, Any] = {"marker": "o", "markevery": [-1]}
        axes.plot(mine.m, 100 * mine.accuracy, color=colour, lw=2, label=f"texts of “{name}”", **ends)
    random = own[own.kept == "random"]
    if len(random):
        axes.plot(random.m, 100 * random.accuracy, color=FAINT, lw=1.5, ls="--", label="random vectors")
    for kept, said, style in (("heads", "whole heads", "-"), ("model", "the model", ":")):
        value = 100 * own[own.kept == kept].accuracy
        if len(value):
            axes.axhline(value.iloc[0], color=QUIET, lw=1.8, ls=style, label=said, zorder=1)
    axes.legend(loc="lower right", frameon=False, fontsize=10, labelcolor=INK)
    axes.set_xlim(0, 1.01 * float(own.m.max()))
    axes.set_ylim(0, 102)
    axes.set_xlabel("texts of each head", size=9.5, color=FAINT)
    plain(axes, grid="y")
    return figure


def _kept(store: Store, inputs: Mapping[str, Any], parameters: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
    """Read what is kept of other text sets with the same parameters; nothing is computed."""
    found = {}
    for (texts,) in store.sql("SELECT text_set FROM text_sets ORDER BY text_set").fetchall():
        if texts != inputs["texts"]:
            with suppress(MissingUnits):
                table = store.view("text_set_accuracies", **{**inputs, "texts": texts}, **parameters)
                found[texts] = table.df(missing="raise")
    return found
