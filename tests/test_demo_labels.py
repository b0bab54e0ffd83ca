"""Labels of the demo's classifier, held against the truth of the scenes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import rankdata

import belvedere
from belvedere.demo.scenes import test_scenes
from belvedere.demo.words import FORMS, VALUES
from tests.describers import describing

SCENES = 400
LIGHT: dict[str, Any] = {"paintings": 4, "steps": 8}
"""Fewer paintings, of fewer steps, than by default."""
CLASSES = [(attribute, value) for attribute in VALUES for value in VALUES[attribute]]
"""What the neurons of the last layer stand for, in their order."""
MOST = 12
"""So many neurons of an inner layer are described."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[belvedere.Store]:
    with describing(tmp_path_factory.mktemp("truth") / "store", SCENES) as found:
        yield found


def names(label: str | None, attribute: str, value: str) -> bool:
    """Tell whether a label has one of the words for a value."""
    words = {value, *(str(each) for form in FORMS[attribute][value] for each in form.values())}
    return label is not None and any(f" {word} " in f" {label} " for word in words)


def best(store: belvedere.Store, module: str, neurons: list[int]) -> dict[int, str | None]:
    """Give the first label of some neurons."""
    listed = ", ".join(map(str, neurons))
    labels = store.view("neuron_labels", model="net", module=module, **LIGHT)
    rows = labels.where(f"rank = 0 AND neuron IN ({listed})").arrow().to_pylist()
    return {row["neuron"]: row["label"] for row in rows}


def told(store: belvedere.Store, module: str) -> dict[int, list[tuple[str, str]]]:
    """Find the values that one neuron tells from all others, by the area under the curve."""
    given = store.view("neuron_activations", model="net", module=module)[:]
    ranks = np.apply_along_axis(rankdata, 0, given)
    scenes = test_scenes(SCENES)
    found: dict[int, list[tuple[str, str]]] = {}
    for attribute, value in CLASSES:
        has = np.array([scene.attributes[attribute] == value for scene in scenes])
        area = (ranks[has].sum(0) - has.sum() * (has.sum() + 1) / 2) / (has.sum() * (~has).sum())
        for neuron in np.flatnonzero(area >= 0.95):
            found.setdefault(int(neuron), []).append((attribute, value))
    return found


def test_labels_of_the_last_layer_name_its_classes(store: belvedere.Store) -> None:
    labels = store.view("neuron_labels", model="net", module="fc", method="describe_and_probe")
    found = {row["neuron"]: row["label"] for row in labels.where("rank = 0").arrow().to_pylist()}
    named = [names(found[neuron], *known) for neuron, known in enumerate(CLASSES)]
    assert sum(named) >= 0.8 * len(CLASSES)


@pytest.mark.slow
def test_labels_of_an_inner_layer_name_what_its_neurons_tell_apart(store: belvedere.Store) -> None:
    known = told(store, "layer4")
    some = sorted(known)[:MOST]
    assert len(some) >= 10
    found = best(store, "layer4", some)
    named = [any(names(found[neuron], *each) for each in known[neuron]) for neuron in some]
    assert sum(named) >= 0.8 * len(some)


def test_what_a_label_goes_back_to_is_told(store: belvedere.Store) -> None:
    labels = store.view("neuron_labels", model="net", module="fc", **LIGHT)
    assert labels.where("neuron = 3").fill(progress=False).complete
    text = str(store.lineage("described_labels", model="net", module="fc", where="neuron = 3", **LIGHT))
    for part in (
        "demo:painter",
        "demo:captioner",
        "rules",
        "demo:classifier",
        "candidate_scores",
        "captions",
    ):
        assert part in text


def test_three_methods_stand_side_by_side(store: belvedere.Store, tmp_path: Path) -> None:
    store.add_texts("words", "demo:scenes", replace=True)
    for method in ("describe_and_probe", "clip_dissect", "invert"):
        view = store.view("neuron_labels", model="net", module="fc", method=method)
        assert view.where("neuron < 4").fill(progress=False).complete
    asked = store.sql(
        "SELECT neuron, list(method ORDER BY method) FROM neuron_labels "
        "WHERE model = 'net' AND module = 'fc' AND method <> 'describe_and_dissect' "
        "AND neuron < 4 AND rank = 0 "
        "GROUP BY neuron ORDER BY neuron"
    )
    assert asked.completeness.complete
    assert asked.fetchall() == [(n, ["clip_dissect", "describe_and_probe", "invert"]) for n in range(4)]
