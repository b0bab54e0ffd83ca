"""Figures by their kind, written as PNG or SVG."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...store import placing
from ...store.errors import BadSource, UnknownName
from ..seeing.heads import Names

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..store import Store

KINDS: Mapping[str, str] = {
    "heads": "head_roles",
    "head": "head_top_images",
    "neuron": "top_images",
    "ablation": "ablations",
    "textsets": "text_set_accuracies",
    "segmentation": "segmentation_scores",
}
"""What can be drawn, and the view whose inputs it has."""
OF_ONE = ("head", "neuron")
"""Figures of one head, or neuron, that has to be named."""
WITH_PARAMETERS = ("ablation", "textsets", "segmentation")
"""Figures that take the parameters of their view; the others are drawn of what has the defaults."""
SUFFIXES = (".png", ".svg")
DPI = 150
"""Pixels of a PNG in an inch."""


def figure(
    store: Store,
    kind: str,
    dest: str | os.PathLike[str],
    place: str | None,
    given: Mapping[str, str | None],
    parameters: Mapping[str, Any],
    *,
    overwrite: bool,
) -> Path:
    """Draw a figure and write it; see `Store.figure`."""
    if kind not in KINDS:
        raise UnknownName("figure", kind, KINDS)
    path = Path(dest)
    if path.suffix.lower() not in SUFFIXES:
        raise BadSource(f"{path.name}: figures are written as .png or as .svg")
    if (place is not None) != (kind in OF_ONE):
        said = f"of one {kind}: name it (of=…, --of)" if place is None else "of no single head or neuron"
        raise BadSource(f"the figure {kind!r} is {said}; head takes LAYER.HEAD, neuron MODULE:NEURON")
    if parameters and kind not in WITH_PARAMETERS:
        raise BadSource(
            f"the figure {kind!r} takes no parameters, and so not {next(iter(parameters))}=…: it shows what "
            f"has the defaults; {', '.join(WITH_PARAMETERS)} take those of their views"
        )
    placing.check(path, folder=False, overwrite=overwrite)
    drawn = _drawers(store, place, parameters)[kind](_inputs(store, kind, place, given, parameters))
    return _write(drawn, path, overwrite=overwrite)


def _drawers(
    store: Store, place: str | None, parameters: Mapping[str, Any]
) -> dict[str, Callable[[dict[str, Any]], Figure]]:
    from . import ablation, head, heads, neuron, segmentation, text_sets

    named = str(place)
    return {
        "heads": lambda inputs: heads.draw(store, Names(**inputs)),
        "head": lambda inputs: head.draw(store, named, inputs),
        "neuron": lambda inputs: neuron.draw(store, named, inputs),
        "ablation": lambda inputs: ablation.draw(store, inputs, parameters),
        "textsets": lambda inputs: text_sets.draw(store, inputs, parameters),
        "segmentation": lambda inputs: segmentation.draw(store, inputs, **parameters),
    }


def _inputs(
    store: Store, kind: str, place: str | None, given: Mapping[str, str | None], parameters: Mapping[str, Any]
) -> dict[str, Any]:
    """Find the names of a figure's inputs as its view does, where they are not given."""
    from .. import question

    named: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if kind == "neuron":
        named["module"] = str(place).rpartition(":")[0]
    if kind == "textsets":
        named |= parameters
    return dict(question.inputs(store.view(KINDS[kind], **named)._view))


def _write(drawn: Figure, path: Path, *, overwrite: bool) -> Path:
    """Write a figure whole or not at all; SVG keeps its words as words."""
    from matplotlib import rc_context

    form = path.suffix.lower()[1:]
    facts = {"Software": None} if form == "png" else {"Date": None, "Creator": None}
    with (
        placing.placed(path, overwrite=overwrite) as partial,
        placing.writing(path),
        partial.open("wb") as to,
        rc_context({"svg.fonttype": "none", "svg.hashsalt": "belvedere"}),
    ):
        drawn.savefig(to, format=form, dpi=DPI, metadata=facts)
    return path
