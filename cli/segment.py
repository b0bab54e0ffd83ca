"""`belvedere segment`: how well the things in images are found by what heads add from patches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .formats import Rows, show
from .options import computing, examples, inputs, open_store, output, parameters, renew, store_option

SHOWN = ("method", "pixel_accuracy", "mean_iou", "mean_average_precision", "images")
"""The columns for people."""


@click.command(
    epilog=examples(
        "belvedere segment --images photos --texts classes",
        "belvedere segment --images photos --texts classes --method decomposition --method rollout --csv",
        "belvedere segment --images photos --texts classes -p target label",
    )
)
@inputs
@click.option(
    "--method",
    "methods",
    multiple=True,
    metavar="METHOD",
    help="decomposition, lrp, partial_lrp, rollout, raw_attention, gradcam or chefer. May be given again. "
    "[default: all of them]",
)
@parameters
@computing
@output
@store_option
def command(
    model: str | None,
    images: str | None,
    texts: str | None,
    methods: tuple[str, ...],
    values: dict[str, Any],
    form: str,
    folder: Path | None,
    **how: Any,
) -> None:
    """Tell the thing in images from its background, without training.

    The texts are the classes. Each image's map is that of the class that it is most like: by decomposition
    what all heads add from each patch along it, less the mean over classes; the other methods are there to
    compare with. The images are those of the demo, or were added with --masks. What is missing is filled,
    and kept in segmentation_scores, and by image in segmentation_counts.
    """
    from ..query.progress import Bar
    from ..query.resolve import read

    store = open_store(folder)
    named = read("segmentation_scores", values)
    found = store.segment(methods, model=model, images=images, texts=texts, progress=Bar(), **how, **named)
    rows = Rows.frame(found)
    show(rows, form, people=rows.narrowed(SHOWN))
    renew(store)
