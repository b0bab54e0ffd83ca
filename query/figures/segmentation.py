"""A figure of zero-shot segmentation: every method by every measure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..seeing.thumbnails import FAINT
from .style import COLOURS, QUIET, plain, titled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..store import Store

MEASURES = {
    "pixel_accuracy": "pixel accuracy",
    "mean_iou": "mean IoU",
    "mean_average_precision": "mean average precision",
}
OURS = "decomposition"
"""The method that the others are compared with."""
CALLED = {
    "raw_attention": "raw attention",
    "lrp": "LRP",
    "partial_lrp": "partial LRP",
    "gradcam": "Grad-CAM",
    "chefer": "Chefer et al.",
}
"""What the literature calls methods that have another name here."""


def draw(store: Store, inputs: Mapping[str, Any], **settings: Any) -> Figure:
    """Draw how well each method, or those of `method`, finds the things in images; what lacks is filled."""
    from matplotlib.figure import Figure

    methods = settings.pop("method", ())
    found = store.segment(methods, **inputs, progress=False, **settings)
    found = found.sort_values("mean_iou", ascending=True)
    figure = Figure(figsize=(13, 1.5 + 0.42 * len(found)), facecolor="white")
    count = int(found.images.max())
    titled(
        figure,
        f"Zero-shot segmentation by “{inputs['model']}”",
        f"of {count:,} images of “{inputs['images']}”, classes are those of “{inputs['texts']}”; per cent",
    )
    above = 1 - 1.25 / figure.get_size_inches()[1]
    for at, (name, said) in enumerate(MEASURES.items()):
        axes = figure.add_axes((0.13 + 0.29 * at, 0.06, 0.26, above - 0.06))
        colours = [COLOURS[0] if method == OURS else QUIET for method in found.method]
        bars = axes.barh(range(len(found)), 100 * found[name], color=colours)
        axes.bar_label(bars, fmt="%.1f", size=9.5, color=FAINT, padding=3)
        labels = [CALLED.get(method, method) for method in found.method] if at == 0 else []
        axes.set_yticks(range(len(found)) if at == 0 else [], labels)
        axes.set_xlim(0, 112)
        axes.set_xticks([])
        plain(axes, said, grid="x")
    return figure
