"""What labelling neurons costs: stage by stage, against neuron by neuron as the released code does.

Neuron by neuron, models are loaded for each, and no caption, painting or score of one neuron is there for
the next. What the released code beside does anew, each model for each call, is not counted against it.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import belvedere

from .kept import keep
from .row import Row

NEURONS, SCENES = 12, 300
STAGES = (
    *("neuron_crops", "neuron_exemplars", "captions", "label_candidates"),
    *("synthetic_images", "candidate_scores", "described_labels"),
)


def rows() -> Iterator[Row]:
    """Label some neurons of the demo's classifier in both ways; keep the CPU seconds of each stage."""
    with tempfile.TemporaryDirectory() as folder:
        blank = Path(folder) / "blank"
        _prepared(blank)
        _fill(blank, f"neuron = {NEURONS}")  # so that neither way pays for imports
        together = _fill(blank, f"neuron < {NEURONS}")
        each = [_fill(blank, f"neuron = {neuron}") for neuron in range(NEURONS)]
    alone = {stage: sum(one[stage] for one in each) for stage in STAGES}
    told = {
        "neurons": NEURONS,
        "cpu_seconds_per_neuron": {
            "stage by stage": _shared(together),
            "neuron by neuron": _shared(alone),
        },
    }
    keep("labels", told)
    yield Row(
        f"CPU for labelling {NEURONS} neurons one by one, against stage by stage",
        sum(alone.values()) / sum(together.values()),
        1.0,
        at_least=True,
    )


def _shared(seconds: Mapping[str, float]) -> dict[str, float]:
    """Share the seconds of each stage, and of all of them, out among the neurons."""
    every = {**seconds, "all": sum(seconds.values())}
    return {stage: round(value / NEURONS, 3) for stage, value in every.items()}


def _prepared(path: Path) -> None:
    """Make a store whose activations and top images are there."""
    with belvedere.open(path) as store:
        store.add_images("scenes", f"demo:scenes[:{SCENES}]")
        store.add_model("net", "demo:classifier")
        store.add_model("clip", "demo:clip")
        store.add_captioner("blip", "demo:captioner")
        store.add_painter("sd", "demo:painter")
        for view in ("top_images", "neuron_statistics"):
            store.view(view, model="net", module="layer4").fill(progress=False)


def _fill(blank: Path, where: str) -> dict[str, float]:
    """Label neurons in a copy of a store, with models loaded anew; give the CPU seconds of each stage."""
    found = {}
    with tempfile.TemporaryDirectory() as folder, belvedere.open(_copied(blank, folder)) as store:
        for stage in STAGES:
            start = time.process_time()
            report = store.view(stage, model="net", module="layer4").where(where).fill(progress=False)
            found[stage] = time.process_time() - start
            assert report.complete
    return found


def _copied(blank: Path, folder: str) -> Path:
    return Path(shutil.copytree(blank, Path(folder) / "store"))
