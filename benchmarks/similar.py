"""What it takes to find the images of 50,000 that a head sees most alike, warm, by every measure."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import numpy as np

import belvedere as bv
from belvedere.compute.heads.retrieval import Measure
from belvedere.query.seeing.similar import MEASURES

from .row import Row
from .sql import _engine, _keep

IMAGES, ROUNDS = 50_000, 9


def rows() -> Iterator[Row]:
    """Ask about images of a ViT-B, as all heads and as one head see them, in a store without a model."""
    with tempfile.TemporaryDirectory() as folder:
        store = bv.open(Path(folder) / "store")
        engine = _engine(store, IMAGES)
        for heads, what in ((None, "all heads"), ("layer = 7 AND head = 3", "one head")):
            view = store.view("chosen_contributions", heads=heads)
            if heads is not None:
                engine.fill(view._view.heads.units)
            _keep(engine, view._view)
            for measure in MEASURES:
                taken = [_seconds(store, image, heads, measure) for image in range(ROUNDS)]
                said = f"the nearest 12 of {IMAGES:,} images as {what} see them, by {measure}, p50"
                yield Row(said, median(taken), 0.2, "CPU s")


def _seconds(store: bv.Store, image: int, heads: str | None, measure: Measure) -> float:
    """Give the CPU seconds of one question; other processes disturb them less than the clock."""
    start = time.process_time()
    found = store.similar(image, heads=heads, measure=measure).rows
    taken = time.process_time() - start
    assert len(found) == 12
    assert np.isfinite(found.score).all()
    return taken
