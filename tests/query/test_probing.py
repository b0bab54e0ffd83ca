"""Candidates that are scored on the images of the set: against every pair, and what has no score."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

import belvedere
from belvedere.demo import clip_dir
from tests.judged_neurons import Channels, paint, to_tensor
from tests.opened import Opened

ASKED: dict[str, Any] = {"model": "net", "images": "colours", "module": "colours", "exemplars": 3, "k": 3}


@pytest.fixture(scope="module")
def blank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of pictures of one colour, the third of which cannot be read; its captions are computed."""
    folder = tmp_path_factory.mktemp("probing")
    pictures = paint(folder / "pictures")
    (pictures / "blue" / "10.png").write_bytes(b"no picture")
    few = sorted(pictures.glob("*/[123].png"))
    store = belvedere.open(folder / "store")
    store.add_images("colours", pictures)
    store.add_images("few", few)
    store.add_model("clip", "demo:clip")
    store.add_captioner("blip", "demo:captioner")
    _network(store)
    for images in ("colours", "few"):
        k = 3 if images == "colours" else 10
        captions = store.view("captions", **{**ASKED, "images": images, "k": k})
        assert captions.where("neuron < 1").fill(progress=False).complete
    store.close()
    return store.path


@pytest.fixture
def store(blank: Path, tmp_path: Path) -> belvedere.Store:
    return _network(belvedere.open(shutil.copytree(blank, tmp_path / "store")))


def _network(store: belvedere.Store) -> belvedere.Store:
    store.add_model("net", Channels().eval(), transform=to_tensor, transform_id="8 × 8")
    return store


def changed_clip(folder: Path, change: Callable[[dict[str, Any], dict[str, Any]], None]) -> str:
    """Save the demo's model with another text tower; give its source."""
    shutil.copytree(clip_dir(), folder)
    config = json.loads((folder / "open_clip_config.json").read_text())
    weights = load_file(folder / "open_clip_model.safetensors")
    change(config["model_cfg"]["text_cfg"], weights)
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    save_file(weights, folder / "open_clip_model.safetensors", metadata={"format": "pt"})
    return f"open_clip:local-dir:{folder}"


def shorter(sizes: dict[str, Any], weights: dict[str, Any]) -> None:
    """Leave five tokens to a text, the marks of begin and end included."""
    sizes["context_length"] = 5
    weights["positional_embedding"] = weights["positional_embedding"][:5].clone()


def other_words(sizes: dict[str, Any], weights: dict[str, Any]) -> None:
    """Give each word what another one means."""
    weights["token_embedding.weight"] = weights["token_embedding.weight"].flip(0).contiguous()


def test_a_score_is_the_share_of_pairs_of_images_that_could_be_read(
    store: belvedere.Store, clip: Opened
) -> None:
    import torch

    rows = store.view("probed_scores", clip="clip", **ASKED).where("neuron = 0").arrow().to_pylist()
    looks = store.view("image_embeddings", model="clip", images="colours").read(..., missing="mask")
    images = np.ma.filled(looks, np.nan)
    unreadable = np.flatnonzero(np.isnan(images).any(axis=1)).tolist()
    top = store.view("top_images", model="net", images="colours", module="colours", k=3).where("neuron = 0")
    positives = top.arrow()["image_id"].to_pylist()
    assert len(unreadable) == 1
    assert min(positives) > unreadable[0]  # so that they have other places among the readable ones
    others = [each for each in range(len(images)) if each not in (*positives, *unreadable)]
    assert rows
    for row in rows:
        with torch.inference_mode():
            text = clip.model.encode_text(clip.tokenizer([row["concept"]])).double().numpy()[0]
        cosines = images.astype(np.float64) @ (text / np.linalg.norm(text))
        pairs = [
            (cosines[a] > cosines[b]) + (cosines[a] == cosines[b]) / 2 for a in positives for b in others
        ]
        assert row["score"] == pytest.approx(np.mean(pairs), abs=0.011)  # one pair of 96
    assert [row["position"] for row in rows] == list(range(len(rows)))


def test_another_text_tower_is_another_question(store: belvedere.Store, tmp_path: Path) -> None:
    store.add_model("other", changed_clip(tmp_path / "other", other_words))
    one, other = (store.view("probed_labels", clip=name, **ASKED) for name in ("clip", "other"))
    assert one._view.scores.pictures.units[0].key == other._view.scores.pictures.units[0].key
    assert one._view.scores.units[0].key != other._view.scores.units[0].key
    scores = []
    for each in (one, other):
        each.where("neuron = 0").fill(progress=False)
        scores.append(each.where("neuron = 0 AND rank = 0").arrow()["score"].to_pylist())
    assert scores[0] != scores[1]


def test_texts_that_the_model_reads_in_part_have_no_score_and_become_no_label(
    store: belvedere.Store, tmp_path: Path
) -> None:
    store.add_model("short", changed_clip(tmp_path / "short", shorter))
    asked = {**ASKED, "clip": "short", "summarise": False}  # captions, of which some are of four words
    scores = store.view("probed_scores", **asked).where("neuron = 0").arrow().to_pylist()
    long = [row["concept"] for row in scores if len(row["concept"].split()) > 3]
    assert long
    assert [row["concept"] for row in scores if row["score"] is None] == sorted(long)
    labels = store.view("probed_labels", **asked).where("neuron = 0").arrow().to_pylist()
    if len(long) < len(scores):
        assert {row["label"] for row in labels} <= {row["concept"] for row in scores} - set(long)
    else:
        assert [(row["label"], row["status"]) for row in labels] == [(None, "too_long")]


def test_what_is_described_without_paintings_has_a_status_and_a_place_in_the_table(
    store: belvedere.Store,
) -> None:
    assert store.view("probed_labels", **ASKED, clip="clip").where("neuron = 0").fill(progress=False).complete
    names = [each.view for each in store.status() if each.ready]
    assert {"probed_scores", "probed_labels"} <= {name.partition("[")[0] for name in names}
    assert "probed_labels" in store.sql("FROM neuron_labels WHERE method = 'none'").completeness.views


def test_where_all_images_are_at_the_top_nothing_is_told_apart(store: belvedere.Store) -> None:
    asked = {**ASKED, "images": "few", "k": 10, "clip": "clip"}
    rows = store.view("probed_labels", **asked).where("neuron = 0").arrow().to_pylist()
    assert [(row["label"], row["score"], row["status"]) for row in rows] == [(None, None, "too_few_images")]
