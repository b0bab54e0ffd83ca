"""Heads of a model without texts are described by another model's, through a linear map with its fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import timm
import torch
from torchvision import transforms

import belvedere
from belvedere.compute.heads.textspan import layer_textspan
from belvedere.store.errors import BadSource, UnitFailed
from belvedere.testing import ViewContract
from tests.compute.small_towers import randomised
from tests.worlds import SIDE, TEXTS, add_pictures, make_clip

TO_TENSOR = transforms.Compose([transforms.ToTensor(), transforms.Normalize([0.5] * 3, [0.25] * 3)])
COUNT = 120


def network() -> Any:
    """A random vision transformer of timm's without texts, whose feature is 16 wide."""
    torch.manual_seed(0)
    options: dict[str, Any] = {"img_size": SIDE, "patch_size": 8, "depth": 2, "embed_dim": 16, "num_heads": 2}
    return randomised(timm.create_model("deit_tiny_patch16_224", **options, num_classes=0).eval())


def filled(folder: Path, count: int = COUNT) -> belvedere.Store:
    """A store of a CLIP, a network without texts, pictures and texts."""
    store = belvedere.open(folder / "store")
    store.add_images("photos", add_pictures(folder / "photos", range(count)))
    store.add_model("clip", f"open_clip:local-dir:{make_clip(folder / 'clip')}")
    store.add_model("net", network(), transform=TO_TENSOR, transform_id="half")
    store.add_texts("words", TEXTS)
    return store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> belvedere.Store:
    return filled(tmp_path_factory.mktemp("aligning"))


def literal(store: belvedere.Store, ridge: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """The map by the normal equations of all rows at once, its r2, and the mean cosine."""
    digests = store.sql("SELECT digest FROM images WHERE image_set = 'photos' ORDER BY image_id").fetchall()
    out = np.array([int(each[:8], 16) % 10 == 0 for (each,) in digests])
    x, y = (store.view("image_embeddings", model=name)[...].astype(np.float64) for name in ("net", "clip"))
    centred = x[~out] - x[~out].mean(0)
    penalty = ridge * np.square(centred).sum() / centred.shape[1]
    square = centred.T @ centred + penalty * np.eye(centred.shape[1])
    weights = np.linalg.solve(square, centred.T @ (y[~out] - y[~out].mean(0))).T
    bias = y[~out].mean(0) - weights @ x[~out].mean(0)
    mapped = x[out] @ weights.T + bias
    r2 = 1 - np.square(y[out] - mapped).sum(0) / np.square(y[out] - y[out].mean(0)).sum(0)
    cosine = (mapped * y[out]).sum(1) / np.linalg.norm(mapped, axis=1) / np.linalg.norm(y[out], axis=1)
    return weights, bias, r2, float(cosine.mean())


def test_the_map_and_its_fit_are_those_of_the_normal_equations(store: belvedere.Store) -> None:
    found = store.view("aligners", model="net", other="clip", ridge=0.1).df()
    weights, bias, r2, cosine = literal(store, 0.1)
    np.testing.assert_allclose(np.stack(found["weights"]), weights, atol=1e-6)
    np.testing.assert_allclose(found["bias"], bias, atol=1e-9)
    np.testing.assert_allclose(found["r2"], r2, atol=1e-6)
    np.testing.assert_allclose(found["cosine"], cosine, atol=1e-9)
    assert set(found["fitted"] + found["held_out"]) == {COUNT}


def test_a_model_is_mapped_to_itself_by_the_identity(store: belvedere.Store) -> None:
    found = store.view("aligners", model="clip", other="clip", ridge=0.0).df()
    embedded = store.view("image_embeddings", model="clip")[...]
    weights = np.stack(found["weights"])
    np.testing.assert_allclose(embedded @ weights.T + found["bias"].to_numpy(), embedded, atol=1e-5)
    assert found["r2"].min() > 0.999
    assert found["cosine"].iloc[0] > 0.99999


def test_descriptions_are_those_of_mapped_contributions(store: belvedere.Store) -> None:
    with pytest.raises(UnitFailed, match=r"the map from 'net' to 'clip' tells nothing .* \(mean r2 -0"):
        store.view("aligned_descriptions", model="net", other="clip", texts="words").df()
    asked: dict[str, Any] = {"model": "clip", "other": "clip", "ridge": 0.5}
    found = store.view("aligned_descriptions", **asked, texts="words", m=5).df()
    weights = np.stack(store.view("aligners", **asked).df()["weights"]).astype(np.float64)
    heads = store.view("head_contributions", model="clip")[...].astype(np.float64) @ weights.T
    texts = store.view("text_embeddings", model="clip", texts="words")[...]
    for layer in range(2):
        rows = heads[:, layer].transpose(1, 0, 2)
        ones = np.concatenate([np.ones((*rows.shape[:2], 1)), rows], axis=-1)
        identity = np.broadcast_to(np.eye(rows.shape[-1]), (2, rows.shape[-1], rows.shape[-1]))
        picks = layer_textspan(ones.transpose(0, 2, 1) @ ones, identity, texts, m=5, span="full")
        for head, pick in enumerate(picks):
            mine = found[(found["layer"] == layer) & (found["head"] == head)]
            assert mine["text_id"].iloc[0] == pick.text[0]
            np.testing.assert_allclose(mine["variance"].iloc[0], pick.variance[0], rtol=1e-3)


def test_too_few_images_and_a_ridge_below_zero_are_refused(tmp_path: Path) -> None:
    few = filled(tmp_path, count=3)
    with pytest.raises(BadSource, match="ridge=-1"):
        few.view("aligners", model="net", other="clip", ridge=-1.0)
    with pytest.raises(UnitFailed, match="a map needs two of each"):
        few.view("aligners", model="net", other="clip").df()


class TestAligners(ViewContract):
    view = "aligners"
    parameters: ClassVar = {"other": "clip"}


class TestAlignedDescriptions(ViewContract):
    view = "aligned_descriptions"
    parameters: ClassVar = {"other": "clip"}
