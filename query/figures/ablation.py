"""A figure of ablations: the battery, accuracy by layer, and conditions on heads beside random heads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np

from ...compute.heads.head_sets import conditions as conditions_of
from ...store.errors import BadSelection, BadSource, MissingUnits, QueryError
from ..seeing.thumbnails import FAINT, INK
from .style import COLOURS, QUIET, differing, plain, titled

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from ..store import Store

BATTERY = ("none", "mlps", "class token", "mlps + class token")
METRICS = {"accuracy": "accuracy", "worst group accuracy": "worst group"}
"""Measures that are drawn of each condition, with what they are called."""
CONDITIONS = 8
"""At most so many conditions are drawn, unless they are named."""
PARTS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("heads", "these heads", {"s": 70, "color": COLOURS[1], "zorder": 3}),
    ("random", "as many at random", {"s": 26, "color": QUIET, "zorder": 2}),
    ("none", "nothing", {"s": 70, "color": INK, "marker": "|", "zorder": 3}),
)
"""What is drawn of a condition: the rows, what they are called, and how they look."""
OF_HEADS = ("heads", "draws", "ablate_mlps")
"""Parameters of conditions on heads, which the battery does not have."""
ANY = "layer = 0"
"""Some condition; it is not computed."""


def draw(store: Store, inputs: Mapping[str, Any], parameters: Mapping[str, Any]) -> Figure:
    """Draw the battery, which is filled first, and conditions on heads.

    With `heads` these are the one, or those in a list, and are filled; without, all that are kept with the
    same parameters.
    """
    import pandas as pd
    from matplotlib.figure import Figure

    given = {name: value for name, value in parameters.items() if name != "heads"}
    without_mode = {name: value for name, value in given.items() if name != "mode"}
    both = {name: value for name, value in given.items() if name not in OF_HEADS}
    named = _named(parameters.get("heads"))
    battery = store.view("ablations", **inputs, **both).df()
    battery = battery[battery.metric == "accuracy"]
    tables = _tables(store, inputs, given, named)
    left = 0 if named else max(0, len(tables) - CONDITIONS)
    conditions = list(tables)[: len(tables) - left]
    chosen = pd.concat([tables[each] for each in conditions]) if conditions else battery[:0]
    below = 1.15 + 0.64 * len(conditions) if conditions else 0
    figure = Figure(figsize=(13, 4.6 + below), facecolor="white")
    titled(
        figure,
        f"Accuracy of “{inputs['model']}” with components ablated",
        f"images of “{inputs['images']}”, among the classes of “{inputs['texts']}”; per cent; "
        f"mode={battery['mode'].iloc[0]}{differing(without_mode)}",
    )
    height = figure.get_size_inches()[1]
    top, middle = 1 - 1.3 / height, 1 - 4.1 / height
    _bars(figure.add_axes((0.16, middle, 0.3, top - middle)), battery)
    _layers(figure.add_axes((0.56, middle, 0.42, top - middle)), battery)
    for at, (metric, said) in enumerate(METRICS.items()):
        mine = chosen[chosen.metric == metric]
        if conditions and len(mine):
            axes = figure.add_axes((0.3 + 0.36 * at, 0.75 / height, 0.32, middle - 1.65 / height))
            _conditions(axes, mine, conditions, said, named=at == 0)
    if conditions:
        handles, labels = figure.axes[-1].get_legend_handles_labels()
        shown = dict(zip(labels, handles, strict=True))
        figure.legend(
            list(shown.values()),
            list(shown),
            loc="lower left",
            bbox_to_anchor=(0.29, 0),
            ncols=3,
            frameon=False,
            fontsize=9,
            labelcolor=FAINT,
        )
    if left:
        told = f"{left} more {'condition is' if left == 1 else 'conditions are'} kept, and not drawn"
        figure.text(0.015, 0.012, told, size=9, color=FAINT)
    return figure


def _named(heads: Any) -> list[str]:
    """List the conditions that are asked for by name."""
    return [] if heads is None else [heads] if isinstance(heads, str) else list(heads)


def _tables(
    store: Store, inputs: Mapping[str, Any], given: Mapping[str, Any], named: Sequence[str]
) -> dict[str, pd.DataFrame]:
    """Read conditions: those that are named are filled, or else those are read that are kept whole."""
    store.view(
        "ablations", **inputs, **given, heads=named[0] if named else ANY
    )  # refuses what it does not take
    if named:
        return {each: _rows(store.view("ablations", **inputs, **given, heads=each).df()) for each in named}
    recipes = store._engine.folder.records.every_recipe("ablations")
    found = {}
    for each in sorted({each for _, recipe in recipes for each in conditions_of(recipe)}):
        with suppress(MissingUnits, QueryError, BadSource, BadSelection):  # of other inputs, or gone
            found[each] = _rows(store.view("ablations", **inputs, **given, heads=each).df(missing="raise"))
    return found


def _rows(table: pd.DataFrame) -> pd.DataFrame:
    """Call heads "heads" also where MLPs are ablated with them, as the figure's first lines say then."""
    return table.assign(components=table.components.str.removeprefix("mlps + "))


def _bars(axes: Any, battery: pd.DataFrame) -> None:
    values = dict(zip(battery.components, battery.value, strict=True))
    there = [name for name in BATTERY if name in values]
    bars = axes.barh(range(len(there)), [100 * values[name] for name in there], color=COLOURS[0])
    axes.bar_label(bars, fmt="%.1f", size=9.5, color=FAINT, padding=3)
    axes.set_yticks(range(len(there)), ["nothing" if name == "none" else name for name in there])
    axes.invert_yaxis()
    axes.set_xlim(0, 115)
    plain(axes, "Ablated", grid="x")
    axes.set_xticks([])


def _layers(axes: Any, battery: pd.DataFrame) -> None:
    """Draw accuracy over the last layer up to which all heads are ablated."""
    found = {
        int(name.rsplit("-", 1)[-1].split()[-1]): 100 * value
        for name, value in zip(battery.components, battery.value, strict=True)
        if name.startswith("layer")
    }
    places = sorted(found)
    whole = 100 * float(battery[battery.components == "none"].value.iloc[0])
    axes.axhline(whole, color=QUIET, lw=1.5)
    axes.plot(places, [found[each] for each in places], color=COLOURS[0], marker="o", ms=4)
    above = found[places[-1]] < whole
    place, align = (whole + 1.5, "bottom") if above else (whole - 1.5, "top")
    axes.text(places[-1], place, "nothing ablated", size=9, color=FAINT, ha="right", va=align)
    axes.set_xticks(places)
    axes.set_ylim(0, 108)
    axes.set_xlabel("the last layer whose heads are ablated", size=9.5, color=FAINT)
    plain(axes, "All heads from layer 0 up to one", grid="y")


def _lines(condition: str) -> str:
    """Write a condition in one line, or in two."""
    return "\n".join(wrap(condition, 46, max_lines=2, placeholder=" …"))


def _conditions(axes: Any, rows: pd.DataFrame, conditions: Sequence[str], said: str, *, named: bool) -> None:
    """Draw a line for each condition: its heads, as many random ones in grey, and nothing ablated."""
    for place, condition in enumerate(conditions):
        mine = rows[rows.heads == condition]
        for components, label, style in PARTS:
            values = 100 * mine[mine.components == components].value
            spread = np.linspace(-0.16, 0.16, len(values)) if len(values) > 1 else np.zeros(len(values))
            axes.scatter(values, place + spread, label=label, **style)  # equal ones side by side
    low, high = 100 * float(rows.value.min()), 100 * float(rows.value.max())
    room = max(4.0, (high - low) / 12)
    axes.set_xlim(max(low - room, -room / 3), min(high + room, 100 + room / 3))
    counts = {
        each: int(rows[(rows.heads == each) & (rows.components == "heads")].head_count.iloc[0])
        for each in conditions
    }
    labels = [f"{_lines(each)} ({counts[each]})" for each in conditions] if named else []
    axes.set_yticks(range(len(conditions)) if named else [], labels)
    axes.set_ylim(len(conditions) - 0.5, -0.5)
    axes.set_xlabel("per cent", size=9.5, color=FAINT)
    plain(axes, f"Heads ablated: {said}", grid="x")
