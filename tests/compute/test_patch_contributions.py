"""What all heads add from each patch is the sum of what each head adds from it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from open_clip.transformer import VisionTransformer

import belvedere
from belvedere.compute.towers.vision import vision
from tests.compute import naive_tower


@pytest.mark.parametrize(
    "options",
    [{}, {"ls_init_value": 0.3}, {"block_type": "custom", "scale_heads": True, "qk_norm": True}],
    ids=["plain", "LayerScale", "head scale"],
)
def test_the_trace_sums_what_the_literal_formula_gives(options: dict[str, Any]) -> None:
    visual: VisionTransformer = naive_tower.tower(**options)
    images = naive_tower.photos(visual)
    with vision(visual).watch() as tracer:
        trace = tracer(images, patches=True)
    literal = naive_tower.decompose(visual, images, "own").tokens.sum((1, 2))[:, 1:]
    assert trace.patch is not None
    assert trace.token_factor is None
    found = trace.patch / (trace.sigma * trace.norm)[:, None, None]
    np.testing.assert_allclose(found, literal, atol=2e-6 * np.abs(literal).max())


def test_tokens_asked_for_beside_change_nothing() -> None:
    visual = naive_tower.tower()
    images = naive_tower.photos(visual)
    with vision(visual).watch() as tracer:
        both, tokens = tracer(images, tokens=True, patches=True), tracer(images, tokens=True)
        alone, nothing = tracer(images, patches=True), tracer(images)
    assert both.patch is not None
    assert both.token_factor is not None
    np.testing.assert_array_equal(both.patch, alone.patch)
    np.testing.assert_array_equal(both.token_factor, tokens.token_factor)
    assert nothing.patch is nothing.patch_mean is tokens.patch is None


@pytest.mark.parametrize("convention", ["own", "clip_prs"])
def test_patches_are_the_sums_of_tokens(store: belvedere.Store, convention: str) -> None:
    patches = store.view("patch_contributions", convention=convention)
    assert patches.dims == ("image", "y", "x", "joint")
    assert patches.shape == (300, 2, 2, 12)
    tokens = store.view("token_contributions", convention=convention)[:10].sum((1, 2))[:, 1:]
    found = patches[:10]
    np.testing.assert_allclose(found.reshape(10, 4, 12), tokens, atol=2e-6 * np.abs(tokens).max())
    np.testing.assert_array_equal(patches[[7, 3], 1:, :, ::5], found[[7, 3], 1:, :, ::5])


def test_half_the_room_is_as_good(store: belvedere.Store) -> None:
    whole, half = (store.view("patch_contributions", dtype=each)[:8] for each in ("float32", "float16"))
    assert np.abs(whole - half).max() <= 1e-3 * np.abs(whole).max()


def test_the_embedding_is_kept_beside_it(store: belvedere.Store) -> None:
    patches = store.view("patch_contributions")
    patches.fill()
    kept = patches._engine.reader.array(patches._view, "embedding")
    np.testing.assert_allclose(kept, store.view("image_embeddings")[...], atol=1e-6)
    assert torch.is_grad_enabled()
