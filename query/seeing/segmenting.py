"""How well methods find the things in images: fills the scores of several, and puts them side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ...compute.attribution.segmentation import METRICS
from ...compute.views.relevance_maps import METHODS
from ...store.errors import BadSource, UnknownName

if TYPE_CHECKING:
    import pandas as pd

    from ...compute.running.report import Progress, Settings
    from ..store import Store


def segment(
    store: Store,
    methods: Sequence[str],
    inputs: dict[str, str | None],
    settings: Settings,
    progress: bool | Progress,
    parameters: dict[str, Any],
) -> pd.DataFrame:
    """Fill and read the scores of some methods, or of all; see `Store.segment`."""
    import pandas as pd

    from ..progress import teller

    if "method" in parameters:
        raise BadSource("methods are named by methods=… (--method), and not as a parameter")
    for each in methods:
        if each not in METHODS:
            raise UnknownName("method of segmentation", each, METHODS)
    chosen = dict.fromkeys(methods or METHODS)
    views = [store.view("segmentation_scores", **inputs, method=each, **parameters) for each in chosen]
    found = []
    for view in views:
        if not view._fill(view._units(), settings, teller(progress)).complete:
            store._engine.ensure(view._units())  # what failed is not tried again: it says why
        rows = view.df()
        same = rows.loc[0, ["model", "image_set", "text_set", "method", "images"]].to_dict()
        values = dict(zip(rows.metric, rows.value, strict=True))
        found.append({**same, **{metric: values[metric] for metric in METRICS}})
    columns = ["model", "image_set", "text_set", "method", *METRICS, "images"]
    return pd.DataFrame(found)[columns]
