"""Labels judged by every measure, each against a literal transcription of its formula."""

from __future__ import annotations

import io
import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import belvedere
from belvedere.compute.instruments.sources import find
from belvedere.compute.neurons.likeness import Likeness
from belvedere.compute.views import label_cosy
from belvedere.store.errors import BadSource, CannotJudge, DamagedUnit, UnknownName
from belvedere.store.sets import Captioner, Judge, Painter
from tests.compute.judges import make_bert
from tests.helping import helping
from tests.judged_neurons import CLASSES, EACH, NEURONS, Channels, judged_store, to_tensor
from tests.opened import Opened
from tests.worlds import engine, make_clip

Rows = list[tuple[Any, ...]]
NET: Any = {"model": "net", "module": "colours"}


@pytest.fixture(scope="module")
def blank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with labels by INVERT and CLIP-Dissect; not to be written to."""
    store = judged_store(tmp_path_factory.mktemp("judged"))
    for name, texts in (("invert_labels", {}), ("clip_dissect_labels", {"texts": "words"})):
        assert store.view(name, **NET, **texts).fill(progress=False).complete
    return store.path


@pytest.fixture
def store(blank: Path, tmp_path: Path) -> belvedere.Store:
    store = belvedere.open(shutil.copytree(blank, tmp_path / "store"))
    store.add_model("net", Channels().eval(), transform=to_tensor, transform_id="8 × 8")
    return store


def judged(store: belvedere.Store, by: str, columns: Sequence[str], **asked: Any) -> Rows:
    """Give columns of how labels are judged, in the order of neurons and metrics."""
    rows = store.view("label_evaluations", by=by, **{**NET, **asked}).arrow()
    found = rows.sort_by([("neuron", "ascending"), ("metric", "ascending")]).select(columns)
    return list(zip(*found.to_pydict().values(), strict=True))


def embedded(clip: Opened, texts: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    """Embed texts as open_clip does: unit norm, by text."""
    import torch

    with torch.inference_mode():
        found = clip.model.encode_text(clip.tokenizer(list(texts))).double().numpy()
    return dict(zip(texts, found / np.linalg.norm(found, axis=1, keepdims=True), strict=True))


def given(pictures: Sequence[Image.Image]) -> NDArray[np.float64]:
    """What the network gives for pictures: "picture neuron"."""
    import torch

    with torch.inference_mode():
        found: NDArray[np.float64] = Channels()(torch.stack([to_tensor(each) for each in pictures])).numpy()
    return found


def test_a_cosine_with_several_references_is_their_mean(store: belvedere.Store, clip: Opened) -> None:
    at = embedded(clip, ["red", "a red star", "green", "blue"])
    columns = ["neuron", "method", "metric", "label", "reference", "n", "value"]
    found = judged(store, "clip", columns, method="invert", references="truth")
    assert [row[:-1] for row in found] == [
        (0, "invert", "clip_cosine", "red", "red; a red star", 2),
        (1, "invert", "clip_cosine", "green", "green", 1),
        (2, "invert", "clip_cosine", "blue", "blue", 1),
        (3, "invert", "clip_cosine", None, "nothing", 1),
    ]
    expected = (1 + at["red"] @ at["a red star"]) / 2
    assert [row[-1] for row in found[:3]] == pytest.approx([expected, 1, 1], abs=1e-5)
    assert found[3][-1] is None


def test_a_cosine_depends_on_no_other_texts(store: belvedere.Store) -> None:
    clip = store.view("label_evaluations", by="clip", method="invert", **NET, references="truth")
    texts = [*CLASSES, "a red star", "nothing", "night", "three blue hearts at night", "two stars"]
    together = Likeness(texts, clip._view.judge_clip, helping(store))
    for one in texts:
        for other in texts:
            alone = Likeness([one, other], clip._view.judge_clip, helping(store))
            assert alone.cosine(one, other) == together.cosine(one, other)


def test_how_labels_are_judged_changes_no_label(store: belvedere.Store, tmp_path: Path) -> None:
    asked: dict[str, Any] = {**NET, "method": "clip_dissect", "texts": "words", "clip": "clip"}
    named = engine(store).folder.names
    first = store.view("label_evaluations", by="clip", references="truth", **asked)._view
    store.add_model("second", f"open_clip:local-dir:{make_clip(tmp_path / 'second')}")
    with pytest.raises(BadSource, match=r"needs judge_clip=…; there are clip, second"):
        store.view("label_evaluations", by="clip", references="truth", **asked)
    for by, more in (("clip", {"references": "truth"}), ("classes", {}), ("other", {"other": "invert"})):
        judged_by = store.view("label_evaluations", by=by, judge_clip="second", **more, **asked)._view
        assert (judged_by.judge_clip.name, judged_by.labels.recipe) == ("second", first.labels.recipe)
    for number, kind in enumerate((Captioner, Painter, Painter)):
        named.put_instrument(kind(f"new{number}", "test:new", {"number": number}), 0)
    asked = {**NET, "method": "describe_and_dissect", "clip": "clip", "painter": "new1", "steps": 4}
    described = [
        store.view("label_evaluations", by="painter", photo_painter=painter, photo_steps=steps, **asked)._view
        for painter, steps in (("new1", 4), ("new2", 8))
    ]
    assert described[0].recipe != described[1].recipe
    assert described[0].labels.recipe == described[1].labels.recipe


def test_references_are_in_the_lineage_of_what_they_judge(store: belvedere.Store) -> None:
    asked = {**NET, "by": "clip", "method": "invert", "references": "truth"}
    found = store.lineage("label_evaluations", **asked)
    assert found.root.parameters["references"] == "truth"
    assert json.loads(json.dumps(found.to_dict()))["root"]["parameters"]["references"] == "truth"
    line = next(line for line in str(found).splitlines() if "references truth" in line)
    assert re.search(r"references truth: 5 texts from \S+truth.csv, contents [0-9a-f]{8}$", line)


def test_nothing_asks_for_references_to_be_added(tmp_path: Path) -> None:
    store = belvedere.open(tmp_path / "store")
    told = str(store.sql("SELECT * FROM label_clip_cosines").completeness)
    assert "label_clip_cosines needs belvedere add model" in told
    assert "references" not in told
    assert "add texts" not in told


def test_references_are_of_these_neurons_or_refused(store: belvedere.Store, tmp_path: Path) -> None:
    refused = {
        "words": "'words' has 5 texts for its 4 neurons; give each text the number of its neuron as category",
        "stray": "the text 'b' of 'stray' is of '4', which is none of its neurons; these are 0 to 3",
        None: "'colours' has 3 classes for its 4 neurons; references=… names a set of texts",
    }
    (tmp_path / "stray.csv").write_text("text,category\na,0\nb,4\n")
    store.add_texts("stray", tmp_path / "stray.csv")
    for name, message in refused.items():
        with pytest.raises(
            CannotJudge, match=re.escape(f"the labels of 'colours' cannot be judged so: {message}")
        ):
            store.view("label_evaluations", by="clip", method="invert", references=name, **NET)
    (tmp_path / "four.txt").write_text("red\ngreen\nblue\nnothing\n")
    store.add_texts("four", tmp_path / "four.txt")
    found = judged(store, "clip", ["reference"], method="invert", references="four")
    assert found == [("red",), ("green",), ("blue",), ("nothing",)]


def test_another_reference_is_another_question(store: belvedere.Store, tmp_path: Path) -> None:
    asked = {"method": "invert", "references": "truth"}
    before = judged(store, "clip", ["value"], **asked)
    (tmp_path / "truth.csv").write_text("text,category\nnight,0\ngreen,1\nblue,2\n")
    store.add_texts("truth", tmp_path / "truth.csv", replace=True)
    after = judged(store, "clip", ["value", "n"], **asked)
    assert after[0][0] < before[0][0]
    assert after[3] == (None, 0)


def test_a_judge_is_asked_about_labels_and_not_about_letters(store: belvedere.Store, tmp_path: Path) -> None:
    source = f"bertscore:{make_bert(tmp_path / 'bert')}#2"
    judge = store.add_judge("bert", source)
    assert (judge.source, judge.facts["metrics"]) == (source, ["bertscore"])
    scores = find(Judge, source).load("cpu", "float32").compare(["red", "red"], ["red", "a red star"])
    found = judged(store, "judge", ["metric", "value"], method="invert", references="truth")
    expected = [sum(scores["bertscore"]) / 2, 1, 1]
    assert [row[0] for row in found] == ["bertscore"] * 4
    assert [row[1] for row in found[:3]] == pytest.approx(expected, abs=1e-5)
    assert found[3][1] is None


def test_methods_agree_as_far_as_their_labels_are_near(store: belvedere.Store, clip: Opened) -> None:
    asked = {"method": "clip_dissect", "other": "invert", "texts": "words"}
    columns = ["method", "metric", "label", "reference", "value"]
    found = judged(store, "other", columns, **asked)
    labels = store.view("clip_dissect_labels", texts="words", m=1, **NET).arrow()["label"].to_pylist()
    at = embedded(clip, [*CLASSES, "night", "star"])
    for neuron, (method, metric, label, reference, value) in enumerate(found[:3]):
        assert (method, metric) == ("clip_dissect", "agreement:invert")
        assert (label, reference) == (labels[neuron], NEURONS[neuron])
        assert value == pytest.approx(at[label] @ at[reference], abs=1e-5)
    assert found[3][2:] == (None, None, None)
    with pytest.raises(CannotJudge, match=r"other='invert' is the method itself"):
        store.view("label_evaluations", by="other", method="invert", other="invert", **NET)


def test_a_class_is_told_by_the_neurons_whose_label_is_nearest(store: belvedere.Store, clip: Opened) -> None:
    columns = ["reference", "label", "neuron", "n", "value"]
    found = judged(store, "classes", columns, method="clip_dissect", texts="words")
    labels = store.view("clip_dissect_labels", texts="words", m=1, **NET).arrow()["label"].to_pylist()
    at = embedded(clip, sorted({*CLASSES, *labels[:3]}))
    activations = store.view("neuron_activations", **NET)[...]
    of = np.repeat(sorted(CLASSES), EACH)
    assert sorted(row[0] for row in found) == sorted(CLASSES)
    for name, label, neuron, n, value in found:
        nearest = max(at[each] @ at[name] for each in labels[:3])
        near = [i for i, each in enumerate(labels[:3]) if at[each] @ at[name] >= nearest - 1e-9]
        assert (label, neuron, n) == (labels[near[0]], near[0], len(near))
        scores = [
            np.mean([a > b for a in activations[of == name, i] for b in activations[of != name, i]])
            for i in near
        ]
        assert value == pytest.approx(np.mean(scores))


@dataclass(frozen=True, slots=True)
class Withheld:
    """What a painter gives in the place of a picture."""

    reason: str


class OneColour:
    """Paints the colour that it is asked for, else grey, brighter for another seed; and green never."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.lost: Path | None = None

    def paint(self, requests: Sequence[tuple[str, int]], **how: object) -> list[Image.Image | Withheld]:
        self.asked += [prompt for prompt, _ in requests]
        for file in self.lost.rglob("*.png") if self.lost else ():
            file.unlink()  # somebody takes away what was painted before
        return [self.one(prompt, seed) for prompt, seed in requests]

    def one(self, prompt: str, seed: int) -> Image.Image | Withheld:
        colour = next((colour for name, colour in CLASSES.items() if name in prompt), (90, 90, 90))
        if "green" in prompt:
            return Withheld("of one colour")
        return Image.new("RGB", (8, 8), tuple(each + seed % 30 for each in colour))


@pytest.fixture
def painter(store: belvedere.Store) -> OneColour:
    """That painter, registered and in memory."""
    facts = Painter("plain", "test:plain", {"paints": "one colour"})
    lower, loaded = engine(store), OneColour()
    lower.folder.names.put_instrument(facts, 0)
    lower.residents._instrument = (f"{facts.key} cpu", loaded)
    return loaded


@pytest.mark.parametrize("at_once", [256, 3])
def test_pictures_of_a_label_are_compared_with_all_images(
    store: belvedere.Store, painter: OneColour, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(label_cosy, "NEURONS", at_once)
    asked = {"method": "invert", "photos": 3}
    columns = ["neuron", "metric", "label", "n", "value"]
    found = judged(store, "painter", columns, **asked)
    memos = engine(store).folder.memos
    control = store.view("neuron_activations", **NET)[...].astype(np.float64)
    for neuron in (0, 2):
        name = NEURONS[neuron]
        prompt = f"a realistic close-up photo of {name}"
        kept = [each for each in memos.of("paintings") if each["cause"]["prompt"] == prompt]
        files = [memos.picture(each["value"]["picture"]) for each in kept]
        answers = given([_open(each) for each in files if each is not None])[:, neuron]
        images = control[:, neuron]
        auc = np.mean([(a > b) + (a == b) / 2 for a in answers for b in images])
        mad = (answers.mean() - images.mean()) / images.std()
        assert found[2 * neuron][:4] == (neuron, "cosy_auc", name, 3)
        assert found[2 * neuron + 1][:4] == (neuron, "cosy_mad", name, 3)
        assert [row[4] for row in found[2 * neuron : 2 * neuron + 2]] == pytest.approx([auc, mad], abs=1e-5)
    nothing = [(1, "cosy_auc", "green", 0, None), (1, "cosy_mad", "green", 0, None)]
    assert found[2:4] == nothing
    assert found[6:] == [(3, "cosy_auc", None, 0, None), (3, "cosy_mad", None, 0, None)]


def _open(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def test_a_picture_belongs_to_its_text_and_is_painted_once(
    store: belvedere.Store, painter: OneColour
) -> None:
    judged(store, "painter", ["value"], method="invert", photos=2)
    assert sorted(painter.asked) == sorted(
        f"a realistic close-up photo of {name}" for name in CLASSES for _ in range(2)
    )
    painter.asked.clear()
    judged(store, "painter", ["value"], method="clip_dissect", texts="words", photos=2)
    others = set(store.view("clip_dissect_labels", texts="words", m=1, **NET).arrow()["label"].to_pylist())
    others -= {None, *CLASSES}
    assert sorted(each.rpartition(" ")[2] for each in painter.asked) == sorted([*others, *others])
    painter.asked.clear()
    judged(store, "painter", ["value"], method="invert", photos=3)
    assert len(painter.asked) == len(CLASSES)  # the third of each
    with pytest.raises(BadSource, match=r"'a photo' has no \{concept\} in it"):
        store.view("label_evaluations", by="painter", method="invert", photo_prompt="a photo", **NET)


def test_a_picture_that_is_lost_before_it_is_looked_at_is_painted_again(
    store: belvedere.Store, painter: OneColour
) -> None:
    columns = ["neuron", "metric", "n", "value"]
    undisturbed = judged(store, "painter", columns, method="invert", photos=2)
    for memo in (store.path / "memos").rglob("*.json"):
        memo.unlink()
    for record in store.path.glob("units/label_cosy/**/*.json"):
        record.unlink()
    again = belvedere.open(store.path)
    again.add_model("net", Channels().eval(), transform=to_tensor, transform_id="8 × 8")
    lower = engine(again)
    lower.residents._instrument = engine(store).residents._instrument
    painter.lost = store.path / "memos" / "pictures"
    painter.asked.clear()
    asked = again.view("label_evaluations", by="painter", method="invert", photos=2, **NET)
    with pytest.raises(DamagedUnit, match=r"painted picture .* removed"):
        asked.arrow()  # it is taken away each time
    assert again.errors() == []
    painter.lost = None
    assert judged(again, "painter", columns, method="invert", photos=2) == undisturbed


def test_exemplars_that_are_alike_make_a_neuron_interpretable(store: belvedere.Store, clip: Opened) -> None:
    import torch

    asked: Any = {**NET, "exemplars": 4, "k": 5}
    top = store.view("neuron_exemplars", **asked).arrow().to_pylist()
    files = engine(store).folder.names.image_set("colours")
    found = store.view("neuron_interpretability", **asked).arrow().to_pylist()
    published = store.view(
        "neuron_interpretability", preset="paper", **{**asked, "per_image": 2, "square": 0}
    )
    diagonal = [row["score"] for row in published.arrow().to_pylist()]
    for neuron in range(3):
        pictures = [Image.open(files.path(row["image_id"])) for row in top if row["neuron"] == neuron]
        with torch.inference_mode():
            batch = torch.stack([clip.preprocess(each.convert("RGB")) for each in pictures])
            vectors = clip.model.encode_image(batch).double().numpy()
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        pairs = [float(vectors[i] @ vectors[j]) for i in range(4) for j in range(i)]
        mean = sum(pairs) / len(pairs)
        assert (found[neuron]["neuron"], found[neuron]["n_exemplars"]) == (neuron, 4)
        assert found[neuron]["score"] == pytest.approx(mean, abs=1e-5)
        assert diagonal[neuron] == pytest.approx(mean + (1 - mean) / 4, abs=1e-5)
    single = store.view("neuron_interpretability", **{**asked, "exemplars": 1}).arrow().to_pylist()
    assert [(row["score"], row["n_exemplars"]) for row in single[:3]] == [(None, 1)] * 3


def test_all_measures_stand_in_one_table(store: belvedere.Store) -> None:
    judged(store, "clip", ["value"], method="invert", references="truth")
    judged(store, "clip", ["value"], method="clip_dissect", references="truth", texts="words")
    judged(store, "classes", ["value"], method="invert")
    answer = store.sql(
        "SELECT method, metric, text_set, count(*), round(avg(value), 3) AS mean FROM label_evaluations "
        "WHERE module = 'colours' GROUP BY ALL ORDER BY ALL"
    )
    first = answer.fetchall()
    assert [row[:4] for row in first] == [
        ("clip_dissect", "clip_cosine", "words", 4),
        ("invert", "class_auroc", None, 3),
        ("invert", "clip_cosine", None, 4),
    ]
    assert answer.completeness.complete
    again = store.sql("SELECT count(*) FROM label_evaluations WHERE text_set = 'words'").fetchall()
    assert again == [(4,)]


def test_labels_of_texts_and_of_none_are_renamed_pulled_and_published_together(
    store: belvedere.Store, tmp_path: Path
) -> None:
    asked = {"references": "truth"}
    judged(store, "clip", ["value"], method="invert", **asked)
    judged(store, "clip", ["value"], method="clip_dissect", texts="words", **asked)
    query = "SELECT text_set, method, count(*) FROM label_evaluations GROUP BY ALL ORDER BY ALL"
    expected = [("words", "clip_dissect", 4), (None, "invert", 4)]
    other = belvedere.open(tmp_path / "other")
    assert (other.pull(store.path).lacking, other.sql(query).fetchall()) == (0, expected)
    assert store.publish().tables["label_clip_cosines"] == 8
    store.rename("words", "vocabulary")
    assert store.sql(query).fetchall() == [("vocabulary", "clip_dissect", 4), (None, "invert", 4)]
    again = judged(store, "clip", ["neuron"], method="clip_dissect", texts="vocabulary", **asked)
    assert again == [(0,), (1,), (2,), (3,)]


def test_status_tells_of_what_was_judged_with_other_parameters(
    store: belvedere.Store, painter: OneColour
) -> None:
    judged(store, "painter", ["value"], method="invert", photos=3)
    found = [each for each in store.status() if each.view.startswith("label_cosy")]
    assert [(each.view, each.ready, each.missing) for each in found] == [
        ("label_cosy[net × colours × colours × invert] with photos=3", 1, 0)
    ]


def test_what_is_lacking_is_named(store: belvedere.Store) -> None:
    refused: list[tuple[type[Exception], str, dict[str, str]]] = [
        (BadSource, "needs method=…, one of describe_and_dissect, ", {"by": "clip"}),
        (
            UnknownName,
            "no method whose labels are judged 'inver'; did you mean 'invert'",
            {"by": "clip", "method": "inver"},
        ),
        (UnknownName, "by 'cliip'; did you mean 'clip'", {"by": "cliip", "method": "invert"}),
        (
            BadSource,
            "needs judge=…; there is none: belvedere add judge",
            {"by": "judge", "method": "invert", "references": "truth"},
        ),
        (
            CannotJudge,
            "not in several classes by group",
            {"by": "classes", "method": "invert", "classes": "group"},
        ),
    ]
    for error, message, asked in refused:
        with pytest.raises(error, match=re.escape(message)):
            store.view("label_evaluations", **NET, **asked)
