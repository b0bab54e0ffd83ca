"""Judges against the formulas, token by token, and what identifies them."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from belvedere.compute.instruments import judging
from belvedere.store.errors import BadSource, MissingExtra, UnknownName
from tests.compute.judges import make_bert, make_sentences, say_baseline

LABELS = ["a red star", "green ring", "red", "a red star"]
REAL = ["red star", "a blue night", "red", "nothing on a ring"]


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bert(tmp_path_factory.mktemp("judges") / "bert")


@pytest.fixture(scope="module")
def sentences(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_sentences(tmp_path_factory.mktemp("judges"))


def tokens(folder: Path, text: str, layer: int) -> NDArray[np.float64]:
    """What a layer gives for each token of a text by itself: "token width"."""
    from transformers import AutoModel, AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    net = AutoModel.from_pretrained(folder).eval()
    with torch.inference_mode():
        given = net(**tokenizer(text, return_tensors="pt"), output_hidden_states=True)
    found: NDArray[np.float64] = given.hidden_states[layer][0].double().numpy()
    return found


def literal_f1(folder: Path, label: str, real: str, layer: int) -> float:
    """BERTScore as its paper has it: each token's nearest of the other text; marks of begin and end aside."""

    def words(text: str) -> NDArray[np.float64]:
        found = tokens(folder, text, layer)
        normed: NDArray[np.float64] = found / np.linalg.norm(found, axis=1, keepdims=True)
        return normed

    ours, theirs = words(label), words(real)
    cosines = ours @ theirs.T  # the marks can be the nearest of a word, and have no weight themselves
    precision = cosines.max(axis=1)[1:-1].mean()
    recall = cosines.max(axis=0)[1:-1].mean()
    return float(2 * precision * recall / (precision + recall))


def test_bertscore_is_that_of_the_paper(bert: Path) -> None:
    judge = judging.find(f"bertscore:{bert}#2").load("cpu", "float32")
    expected = [literal_f1(bert, label, real, 2) for label, real in zip(LABELS, REAL, strict=True)]
    found = judge.compare(LABELS, REAL)
    assert list(found) == ["bertscore"]
    np.testing.assert_allclose(found["bertscore"], expected, atol=1e-5)
    assert found["bertscore"][2] == pytest.approx(1, abs=1e-6)


def test_a_rescaled_score_is_0_where_texts_without_relation_are(bert: Path, tmp_path: Path) -> None:
    folder = say_baseline(Path(shutil.copytree(bert, tmp_path / "bert")), {1: 0.5, 2: 0.25})
    found = judging.find(f"bertscore:{folder}#2").load("cpu", "float32").compare(LABELS, REAL)
    assert list(found) == ["bertscore", "bertscore_rescaled"]
    plain = np.array(found["bertscore"])
    np.testing.assert_allclose(found["bertscore_rescaled"], (plain - 0.25) / 0.75, atol=1e-12)
    other = judging.find(f"bertscore:{folder}#3").load("cpu", "float32")
    assert list(other.compare(LABELS, REAL)) == ["bertscore"]  # nobody says what they score at that layer


def test_a_sentence_cosine_is_that_of_mean_tokens(sentences: Path) -> None:
    judge = judging.find(f"sentences:{sentences}").load("cpu", "float32")
    vectors = {text: tokens(sentences.parent / "bert", text, 3).mean(axis=0) for text in {*LABELS, *REAL}}
    expected = [
        float(vectors[one] @ vectors[other] / np.linalg.norm(vectors[one]) / np.linalg.norm(vectors[other]))
        for one, other in zip(LABELS, REAL, strict=True)
    ]
    found = judge.compare(LABELS, REAL)
    assert list(found) == ["sentence_cosine"]
    np.testing.assert_allclose(found["sentence_cosine"], expected, atol=1e-5)


def test_a_score_depends_on_no_other_texts(bert: Path, sentences: Path) -> None:
    for source in (f"bertscore:{bert}#2", f"sentences:{sentences}"):
        judge = judging.find(source).load("cpu", "float32")
        (together,) = judge.compare(LABELS, REAL).values()
        alone = [judge.compare([label], [real]) for label, real in zip(LABELS, REAL, strict=True)]
        assert [next(iter(each.values())) for each in alone] == [[each] for each in together]


def test_a_text_in_the_place_of_a_list_is_refused(bert: Path, sentences: Path) -> None:
    for source in (f"bertscore:{bert}#2", f"sentences:{sentences}"):
        judge = judging.find(source).load("cpu", "float32")
        for labels, real in (("red", ["r", "e", "d"]), (["r", "e", "d"], "red")):
            with pytest.raises(TypeError, match=r"a list of texts is asked for, and 'red' is one text"):
                judge.compare(labels, real)


def test_a_judge_is_its_files_and_not_its_folder(bert: Path, sentences: Path, tmp_path: Path) -> None:
    facts = judging.find(f"bertscore:{bert}#2").facts()
    copy = Path(shutil.copytree(bert, tmp_path / "copy"))
    assert judging.find(f"bertscore:{copy}#2").facts() == facts
    assert facts["metrics"] == ["bertscore"]
    changed = [judging.find(f"bertscore:{copy}#3").facts()]
    say_baseline(copy, {2: 0.5})
    changed.append(judging.find(f"bertscore:{copy}#2").facts())
    changed.append(judging.find(f"bertscore:{make_bert(tmp_path / 'other', seed=1)}#2").facts())
    assert all(each != facts for each in changed)
    assert changed[1]["metrics"] == ["bertscore", "bertscore_rescaled"]
    moved = Path(shutil.copytree(sentences, tmp_path / "moved"))
    assert judging.find(f"sentences:{moved}").facts() == judging.find(f"sentences:{sentences}").facts()


def test_sources_that_are_no_judge_are_refused(bert: Path, tmp_path: Path) -> None:
    hollow = tmp_path / "hollow"
    hollow.mkdir()
    (hollow / "modules.json").write_text("[]")
    refused = [
        ("mpnet", UnknownName, r"no source of judges 'mpnet'; there are bertscore:FOLDER#LAYER"),
        (f"bertscore:{bert}#two", BadSource, r"after # stands the number of a layer"),
        (f"bertscore:{bert}", BadSource, r"bert-score does not know .*; say which layer is compared"),
        (f"bertscore:{bert}#9", BadSource, r"has 3 layers, and no layer 9"),
        (f"sentences:{bert}", BadSource, r"no modules\.json"),
        (f"sentences:{tmp_path}/gone", BadSource, r"no folder"),
        (f"sentences:{hollow}", BadSource, r"has no weights: \*\.safetensors or \*\.bin"),
    ]
    for source, error, message in refused:
        with pytest.raises(error, match=message):
            judging.find(source).facts()
    with pytest.raises(BadSource, match=r"in float32, and not in float16"):
        judging.find(f"bertscore:{bert}#2").load("cpu", "float16")


def test_without_the_libraries_the_extra_is_named(
    bert: Path, sentences: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {"bert_score": f"bertscore:{bert}#2", "sentence_transformers": f"sentences:{sentences}"}
    for library, source in asked.items():
        monkeypatch.setitem(sys.modules, library, None)
        with pytest.raises(MissingExtra) as caught:
            judging.find(source).load("cpu", "float32")
        assert str(caught.value) == f'{library} is not installed; pip install "belvedere[judges]" adds it'
        assert caught.value.library == library
