"""What labelling neurons costs: stage by stage, against neuron by neuron as the released code does."""

from __future__ import annotations

import json
import platform
import shutil
import tempfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import belvedere

from .row import Row, seconds

NEURONS, SCENES = 6, 300
STAGES = (
    *("neuron_crops", "neuron_exemplars", "captions", "label_candidates"),
    *("synthetic_images", "candidate_scores", "described_labels"),
)
RESULT = Path(__file__).parent / "results" / "labels.json"


def rows() -> Iterator[Row]:
    """Label some neurons of the demo's classifier in both ways; keep the seconds of each stage."""
    with tempfile.TemporaryDirectory() as folder:
        blank = Path(folder) / "blank"
        _prepared(blank)
        whole, single = (Path(shutil.copytree(blank, blank.with_name(name))) for name in ("whole", "single"))
        together = seconds(lambda: _fill(whole, f"neuron < {NEURONS}"))
        alone = sum(seconds(lambda n=n: _fill(single, f"neuron = {n}")) for n in range(NEURONS))  # type: ignore[misc]
        stages = _stages(whole)
    told = {
        "date": str(date.today()),
        "machine": platform.machine(),
        "neurons": NEURONS,
        "seconds_per_neuron": {name: round(each / NEURONS, 3) for name, each in stages.items()},
        "stage_by_stage": round(together, 1),
        "neuron_by_neuron": round(alone, 1),
    }
    RESULT.write_text(json.dumps(told, indent=2) + "\n")
    yield Row(
        f"labelling {NEURONS} neurons one by one, against stage by stage",
        alone / together,
        1.0,
        at_least=True,
    )


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


def _fill(path: Path, where: str) -> None:
    """Open the store anew, so that models are loaded, and label neurons."""
    with belvedere.open(path) as store:
        report = store.view("neuron_labels", model="net", module="layer4").where(where).fill(progress=False)
        assert report.complete


def _stages(path: Path) -> dict[str, float]:
    """Add up the seconds of each stage; units that were made in one go share them."""
    with belvedere.open(path, mode="r") as store:
        query = "SELECT view, max(seconds) AS seconds FROM units GROUP BY view"
        known = dict(store.sql(query).fetchall())
    return {name: float(known[name]) for name in STAGES}
