"""A figure of one neuron: the images at its top, how its activations spread, and what it is called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ...store.errors import BadSource
from ..seeing.thumbnails import FAINT, INK, image_or_why, thumbnail
from ..seeing.top import Neuron, read_place
from .style import COLOURS, cut, plain, titled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..store import Store

IMAGES, LABELS = 10, 8
"""At most so many images and labels."""
NAMED = """
SELECT method, label, score, score_name, status FROM neuron_labels
WHERE model = $model AND (image_set = $images OR image_set IS NULL) AND module = $module AND neuron = $neuron
  AND rank = 0
ORDER BY method LIMIT $count
"""


def draw(store: Store, place: str, inputs: Mapping[str, Any]) -> Figure:
    """Draw a neuron; activations and top images are filled, labels are those that are kept.

    Raises `BadSource` where `place` is no neuron.
    """
    from matplotlib.figure import Figure

    found = read_place(place)
    if not isinstance(found, Neuron):
        raise BadSource(f"{place!r} is a head; a neuron is MODULE:NEURON, such as layer4:17")
    top = store.top(place, **inputs, count=IMAGES, progress=False)
    view = store.view("neuron_activations", **inputs, module=found.module)
    every = view.read((slice(None), found.neuron), missing="mask")
    figure = Figure(figsize=(13, 4.6), facecolor="white")
    titled(
        figure,
        f"Neuron {found.neuron} of {found.module} in “{inputs['model']}”",
        f"over the {len(every):,} images of “{inputs['images']}”, those at the top first",
    )
    for at, (image, activation) in enumerate(zip(top.rows.image_id, top.rows.activation, strict=True)):
        axes = figure.add_axes((0.015 + at * 0.0975, 0.44, 0.093, 0.38))
        axes.axis("off")
        axes.imshow(thumbnail(image_or_why(store, inputs["images"], int(image))))
        axes.set_title(f"{activation:#.3g}".rstrip("."), size=9, color=FAINT, y=-0.2)
    _spread(figure.add_axes((0.06, 0.11, 0.35, 0.2)), np.ma.compressed(every), top.rows.activation)
    bound = {**inputs, "module": found.module, "neuron": found.neuron, "count": LABELS}
    _labels(figure, _named(store, bound))
    return figure


def _named(store: Store, bound: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """List the labels that are kept; not all methods need to have been asked."""
    import warnings

    from ..sql.answer import IncompleteAnswer

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", IncompleteAnswer)
        return list(store.sql(NAMED, bound).fetchall())


def _spread(axes: Any, every: Any, top: Any) -> None:
    counts, _, _ = axes.hist(every, bins=60, color=COLOURS[0])
    axes.axvline(float(min(top)), color=COLOURS[1], lw=1.5)
    if counts.max() >= 10:
        axes.set_yscale("log")
    else:
        axes.yaxis.get_major_locator().set_params(integer=True)
    plain(axes, "Its activations; right of the line the images above")
    axes.set_ylabel("images", size=9, color=FAINT)


def _labels(figure: Any, rows: list[tuple[Any, ...]]) -> None:
    figure.text(0.47, 0.335, "What it is called", size=11, weight="bold", color=INK)
    if not rows:
        figure.text(0.47, 0.26, "nothing yet: belvedere fill neuron_labels", size=10, color=FAINT)
    for line, (method, label, score, score_name, status) in enumerate(rows):
        y = 0.27 - 0.055 * line
        figure.text(0.47, y, cut(label or status, 46), size=10.5, color=INK if label else FAINT)
        figure.text(0.78, y, method.replace("_", " "), size=9.5, color=FAINT)
        if score is not None:
            told = f"{(score_name or 'score').replace('_', ' ')} {score:.2f}"
            figure.text(0.985, y, told, size=9.5, color=FAINT, ha="right")
