"""Neurons of a text tower are called by words that their activations bear out; useless ones are not."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import belvedere
from belvedere.compute.language.english import singular
from belvedere.compute.neurons.neuron_state import NeuronState
from belvedere.demo.scenes import test_scenes as scenes
from belvedere.demo.words import FORMS, VALUES
from belvedere.query.lazy.table import LazyTable
from belvedere.query.store import Store
from belvedere.store.errors import BadSource, UnsuitableModule
from belvedere.testing import SCENES, ViewContract, demo_store
from tests.chat_server import Said, serving, words
from tests.worlds import make_clip

GELU = "transformer.resblocks.1.mlp.gelu"
NARROW = {"model": "narrow", "texts": "words", "module": "transformer.resblocks.0.mlp.gelu", "pool": "max"}
SMALL = {**NARROW, "module": "transformer.resblocks.0.mlp.c_proj", "pool": "mean"}
EQUAL = 14
"""Texts that are the same."""
VIEWS = ("text_neuron_statistics", "text_label_candidates", "text_neuron_labels")


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> belvedere.Store:
    """A store with the demo's CLIP and sentences on scenes, each of which names five attributes."""
    store = belvedere.open(tmp_path_factory.mktemp("texts") / "store")
    store.add_model("clip", "demo:clip")
    store.add_texts("captions", [scene.caption for scene in scenes(200)])
    return store


def labels(store: belvedere.Store, **more: Any) -> LazyTable:
    found: LazyTable = store.view("text_neuron_labels", module=GELU, **more)
    return found


def given(store: belvedere.Store) -> NDArray[np.float64]:
    """What each neuron gives for each text."""
    found: NDArray[np.float64] = store.view("text_neuron_activations", module=GELU)[:].astype(float)
    return found


def area(inside: NDArray[np.float64], outside: NDArray[np.float64]) -> NDArray[np.float64]:
    """The share of pairs that are in order along the first axis, ties counted half."""
    one, other = inside[:, None], outside[None]
    found: NDArray[np.float64] = ((one > other) + (one == other) / 2).mean(axis=(0, 1))
    return found


def test_labels_name_what_neurons_tell_from_all_else(known: belvedere.Store) -> None:
    values, told = given(known), dict[int, set[str]]()
    for attribute, value in [(name, each) for name in VALUES for each in VALUES[name]]:
        has = np.array([scene.attributes[attribute] == value for scene in scenes(200)])
        forms = {value, *(str(each) for form in FORMS[attribute][value] for each in form.values())}
        for neuron in np.flatnonzero(area(values[has], values[~has]) >= 0.95)[:2]:
            told.setdefault(int(neuron), set()).update(forms)
    assert len(told) >= 15
    listed = ", ".join(map(str, told))
    best = labels(known).where(f"neuron IN ({listed}) AND rank = 0").arrow().to_pylist()
    named = [any(f" {word} " in f" {row['label']} " for word in told[row["neuron"]]) for row in best]
    assert len(named) == len(told)
    assert sum(named) >= 0.8 * len(told)
    assert min(row["score"] for row in best) >= 0.9


def test_a_score_is_the_share_of_pairs_of_texts_with_the_words_and_without(known: belvedere.Store) -> None:
    texts = [scene.caption for scene in scenes(200)]
    values, seen = given(known), set[bool]()
    for row in labels(known).where("neuron < 8").arrow().to_pylist():
        phrase = " ".join(map(singular, row["label"].split()))
        inside = np.array([f" {phrase} " in f" {' '.join(map(singular, text.split()))} " for text in texts])
        mine = values[:, row["neuron"]]
        assert row["texts"] == inside.sum()
        seen.add(row["score"] is None)
        if inside.sum() < 5:
            assert row["score"] is None
        else:
            assert row["score"] == pytest.approx(area(mine[inside], mine[~inside]), abs=1e-12)
    assert False in seen


def test_where_nothing_can_be_told_labels_stand_in_the_order_in_which_they_were_given(
    known: belvedere.Store,
) -> None:
    asked = labels(known, least=150, labels=9).where("neuron = 3").arrow().to_pylist()
    said = known.view("text_label_candidates", module=GELU).where("neuron = 3").arrow().to_pylist()
    assert [row["label"] for row in asked] == [row["candidate"] for row in said]
    assert {(row["score"], row["status"]) for row in asked} == {(None, "ok")}
    scores = [row["score"] for row in labels(known, labels=9).where("neuron = 3").arrow().to_pylist()]
    told = [score for score in scores if score is not None]
    assert told == sorted(told, reverse=True)
    assert scores == told + [None] * (len(scores) - len(told))


def test_labels_do_not_depend_on_which_others_are_asked_for(known: belvedere.Store, tmp_path: Path) -> None:
    together = labels(known).where("neuron IN (2, 7, 300)").arrow().to_pylist()
    alone = belvedere.open(tmp_path / "alone")
    alone.add_model("clip", "demo:clip")
    alone.add_texts("captions", [scene.caption for scene in scenes(200)])
    found = [
        row for neuron in (300, 7, 2) for row in labels(alone).where(f"neuron = {neuron}").arrow().to_pylist()
    ]
    assert sorted(found, key=lambda row: (row["neuron"], row["rank"])) == together


def narrow(store: Store) -> None:
    """Add a small random CLIP of which one neuron is dead, and one is constant."""
    if "narrow" in store._engine.folder.names.models():
        return
    from safetensors.torch import load_file, save_file

    folder = make_clip(store.path.parent / "narrow")
    file = folder / "open_clip_model.safetensors"
    weights = load_file(file)
    for neuron, bias in ((0, 0.0), (1, 1.0)):
        weights["transformer.resblocks.0.mlp.c_fc.weight"][neuron] = 0
        weights["transformer.resblocks.0.mlp.c_fc.bias"][neuron] = bias
    save_file(weights, file)
    store.add_model("narrow", f"open_clip:local-dir:{folder}")
    things = [f"{size} {thing}" for size in ("small", "large") for thing in ("dog", "star", "boat", "hat")]
    store.add_texts("few", [*["the very same words"] * EQUAL, *things, "far too many words " * 9])


def test_neurons_of_no_use_have_a_status_and_no_label(tmp_path: Path) -> None:
    store = belvedere.open(tmp_path / "store")
    narrow(store)
    asked = {**NARROW, "texts": "few"}
    state = NeuronState(32, 10)
    values = store.view("text_neuron_activations", **asked)
    state.add(values[: EQUAL + 8])
    assert state.found().states[:2] == ["dead", "constant"]
    assert set(state.found().states) == {"dead", "constant", "tied", "ok"}
    statistics = store.view("text_neuron_statistics", **asked).df()
    assert statistics["status"].tolist() == state.found().states
    assert set(statistics["texts"]) == {EQUAL + 8}  # one is longer than the model reads
    rows = store.view("text_neuron_labels", **asked).df()
    first = rows[rows["rank"] == 0]
    assert first["status"].tolist() == state.found().states
    assert (first["label"].isna() == (first["status"] != "ok")).all()
    useless = rows[rows["status"] != "ok"]
    assert useless[["score", "texts"]].isna().all(axis=None)
    assert useless["neuron"].is_unique
    said = set(store.view("text_label_candidates", **asked).df()["neuron"])
    assert said == set(first["neuron"][first["status"] == "ok"])


def test_a_statement_finds_labels_and_their_evidence(known: belvedere.Store) -> None:
    query = (
        "SELECT module, neuron, method, label, score, u.view FROM text_neuron_labels l "
        "JOIN units u ON u.unit = l.evidence WHERE neuron < 2 AND rank = 0 ORDER BY neuron"
    )
    labels(known).where("neuron < 2").fill(progress=False)
    rows = known.sql(query, require_complete=True).fetchall()
    assert [row[:3] for row in rows] == [(GELU, each, "summarise_and_probe") for each in (0, 1)]
    assert all(row[3] and 0 <= row[4] <= 1 and row[5] == "text_label_candidates" for row in rows)


@pytest.fixture
def _environment() -> Iterator[None]:
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.mark.usefixtures("_environment")
def test_a_language_model_is_asked_once_as_planned_and_judged(tmp_path: Path) -> None:
    captions = [scene.caption for scene in scenes(60)]
    store = belvedere.open(tmp_path / "store")
    store.add_model("clip", "demo:clip")
    store.add_texts("captions", captions)
    store.view("text_neuron_statistics", module=GELU).fill(progress=False)
    top = store.view("top_texts", module=GELU, k=10).arrow().to_pylist()
    refused = {captions[row["text_id"]] for row in top if row["neuron"] == 1}

    def reply(body: dict[str, Any], number: int) -> Said:
        told = re.findall(r"^- (.+)$", body["messages"][-1]["content"], re.MULTILINE)
        assert len(told) == 10
        return words("I'm sorry, I can't help with that." if set(told) == refused else min(told))

    with serving(reply) as server:
        os.environ.update(server.environ)
        store.add_language("gpt", "openai:small")
        asked = labels(store, samples=2).where("neuron < 2")
        calls = asked.plan().work["text_label_candidates"].facts()
        assert (calls["calls_at_least"], calls["calls"]) == (4, 8)
        assert asked.fill(progress=False).complete
        assert server.calls == 2 + 4  # a refusal is asked about once more
        assert labels(store, samples=2, labels=1).where("neuron < 2").fill(progress=False).complete
        assert server.calls == 6
    found = asked.arrow().to_pylist()
    assert [(row["neuron"], row["status"]) for row in found] == [(0, "ok"), (1, "refused")]
    assert found[0]["label"] in captions  # a label may be one of the texts
    assert (found[1]["label"], found[1]["score"], found[1]["language"]) == (None, None, "gpt")


def test_what_cannot_be_asked_for_says_why(known: belvedere.Store) -> None:
    with pytest.raises(BadSource, match=r"k=20 top texts .* give top_k=20 as well"):
        labels(known, k=20)
    with pytest.raises(BadSource, match=r"temperature=3\.0"):
        labels(known, temperature=3.0)
    with pytest.raises(BadSource, match="both start at 1"):
        labels(known, least=0)
    with pytest.raises(BadSource, match="top_k=0: it is a number of texts from 1"):
        known.view("text_neuron_statistics", module=GELU, top_k=0)
    with pytest.raises(UnsuitableModule, match="runs while an image goes through"):
        known.view("text_neuron_labels", module="visual.conv1")


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store in which the three views are filled, for the contracts to copy."""
    pictures = tmp_path_factory.getbasetemp() / "scenes"
    with demo_store(tmp_path_factory.mktemp("contract") / "store", SCENES, pictures) as store:
        narrow(store)
        for view in VIEWS:
            assert store.view(view, **SMALL).fill(batch_size=32).complete
    return store.path


class _Contract(ViewContract):
    @pytest.fixture(autouse=True, scope="class")
    @staticmethod
    def _shared(request: pytest.FixtureRequest, filled: Path) -> None:
        assert request.cls is not None
        request.cls._kept = filled

    def ask(self, store: Store) -> LazyTable:
        """Of the small CLIP's neurons."""
        narrow(store)
        found: LazyTable = store.view(self.view, **SMALL)
        return found


class TestTextNeuronStatistics(_Contract):
    view = "text_neuron_statistics"


class TestTextLabelCandidates(_Contract):
    view = "text_label_candidates"


class TestTextNeuronLabels(_Contract):
    view = "text_neuron_labels"
