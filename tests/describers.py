"""A store in which neurons can be described: the demo's classifier, captioner, painter and CLIP."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import belvedere

BRIEF: Mapping[str, Any] = {"paintings": 2, "steps": 2, "k": 5, "exemplars": 4, "samples": 3}
"""Parameters by which a neuron is described in little time; its label may be wrong."""
CHAIN = (
    *("neuron_crops", "neuron_exemplars", "captions", "label_candidates"),
    *("synthetic_images", "candidate_scores", "described_labels"),
)
"""The stages that have a unit for each neuron, in their order."""
STAGES = {
    "neuron_crops": ("k",),
    "neuron_exemplars": ("k", "exemplars"),
    "captions": ("k", "exemplars"),
    "label_candidates": ("k", "exemplars", "samples"),
    "synthetic_images": tuple(BRIEF),
    "candidate_scores": tuple(BRIEF),
    "described_labels": tuple(BRIEF),
}
"""The parameters of `BRIEF` that each stage has."""


def describing(path: Path, scenes: int = 200) -> belvedere.Store:
    """Make a store of so many scenes, with all that neurons are described with; nothing is computed."""
    store = belvedere.open(path)
    store.add_images("scenes", f"demo:scenes[:{scenes}]")
    store.add_model("net", "demo:classifier")
    store.add_model("clip", "demo:clip")
    store.add_captioner("blip", "demo:captioner")
    store.add_painter("sd", "demo:painter")
    return store


def stage(store: belvedere.Store, view: str, **more: Any) -> Any:
    """Give a stage of the chain for the last layer, or another module, in little time."""
    asked = {"model": "net", "images": "scenes", "module": "fc"}
    return store.view(view, **{**asked, **{name: BRIEF[name] for name in STAGES[view]}, **more})


def tables(store: belvedere.Store, neurons: str, **more: Any) -> dict[str, list[dict[str, Any]]]:
    """Give the rows of all stages of some neurons, filled where they are not; keys of units aside.

    `more` is for the stages from the language model on.
    """
    found = {}
    for view in CHAIN:
        asked = {} if view in ("neuron_crops", "neuron_exemplars", "captions") else more
        rows = stage(store, view, **asked).where(neurons).arrow().to_pylist()
        found[view] = [{name: row[name] for name in row if name != "evidence"} for row in rows]
    return found
