"""Second-order effects are what the later heads add of each neuron; directions and codes are as defined."""

from __future__ import annotations

import tracemalloc
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import orthogonal_mp

from belvedere.compute.heads import conventions, second_order
from belvedere.compute.towers.check import check
from belvedere.compute.towers.neurons import value_maps
from belvedere.compute.towers.vision import vision
from tests.compute.naive_neurons import effects, through, watch
from tests.compute.naive_tower import Exact, exact, photos, tower

VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "layer scale": {"ls_init_value": 0.5},
    "head scale, normed queries and keys, normed MLP": {
        "scale_heads": True,
        "qk_norm": True,
        "scale_fc": True,
    },
}


def ours(visual: Any, images: torch.Tensor, layer: int) -> tuple[Any, Any, Any]:
    """Trace images; give the effects, "image neuron joint", the trace and the tower's maps."""
    with vision(visual).watch([layer]) as tracer:
        trace = tracer(images)
    assert trace.neuron_factor is not None
    maps = vision(visual).constants()
    scale = 1 / (trace.sigma * trace.norm)
    head_map, value_map = maps.head_map[layer + 1 :], value_maps(visual, layer)
    shared: Any = (trace.neuron_factor[layer], scale, head_map, value_map)
    found = second_order.effects(*shared)
    lengths = second_order.norms(*shared)
    np.testing.assert_allclose(lengths, np.linalg.norm(found, axis=-1), rtol=1e-3, atol=1e-6)
    return found, trace, maps


@pytest.mark.parametrize(("variant", "layer"), [(name, 1) for name in VARIANTS] + [("plain", 0)])
def test_an_effect_equals_the_formula_written_out_in_float64(variant: str, layer: int) -> None:
    visual = tower(**VARIANTS[variant])
    images = photos(visual, count=1)
    literal = np.stack([effects(visual, image, layer) for image in images])
    found, trace, maps = ours(visual, images, layer)
    assert np.abs(literal).max() > 1e-3
    np.testing.assert_allclose(found, literal, atol=1e-6)
    assert check(trace, maps) < 1e-5


@pytest.mark.parametrize("layer", [0, 1])
def test_neurons_and_bias_make_up_all_that_later_heads_read_of_an_mlp(layer: int) -> None:
    visual = tower()
    images = photos(visual, count=2)
    found, trace, maps = ours(visual, images, layer)
    shared: Any = (trace.sigma, trace.mu, trace.norm, maps, "own")
    first_order = conventions.heads(trace.factor, *shared)[:, layer + 1 :].sum(axis=(1, 2))
    seen = [watch(visual, image) for image in images]
    without = trace.factor.copy()
    for each, image in enumerate(seen):
        for later in range(layer + 1, 3):
            without[each, later] = _factor(visual, image, later, image.streams[later] - image.mlps[layer])
    left = conventions.heads(without, *shared)[:, layer + 1 :].sum(axis=(1, 2))
    bias = exact(visual.transformer.resblocks[layer].mlp.c_proj.bias)
    constant = np.zeros(left.shape)
    for each, image in enumerate(seen):
        for later, head, token in np.ndindex(3, 4, 7):
            if later > layer:
                constant[each] += through(visual, image, later, head, token, bias)
    np.testing.assert_allclose(found.sum(axis=1) + constant, first_order - left, atol=2e-6)
    assert np.abs(first_order - left).max() > 0.01


def _factor(visual: Any, image: Any, later: int, stream: Exact) -> Exact:
    """Give what each head gathers of another stream, with attention and deviations as they were."""
    block = visual.transformer.resblocks[later]
    before = image.streams[later]
    deviation = np.sqrt(before.var(axis=1, keepdims=True) + block.ln_1.eps)
    normed = (stream - stream.mean(axis=1, keepdims=True)) / deviation
    z = normed * exact(block.ln_1.weight) + exact(block.ln_1.bias)
    W_v, b_v = (np.split(exact(each), 3)[2] for each in (block.attn.in_proj_weight, block.attn.in_proj_bias))
    values = (z @ W_v.T + b_v).reshape(len(z), 4, 6)
    found: Exact = np.einsum("ht,thd->hd", image.alphas[later], values)
    return found


def test_zeroing_a_neuron_for_later_heads_changes_their_contributions_by_its_effect() -> None:
    visual, layer, neuron = tower(), 1, 17
    images = photos(visual, count=2)
    found, trace, maps = ours(visual, images, layer)
    block = visual.transformer.resblocks[layer]
    without = trace.factor.copy()
    for each, image in enumerate([watch(visual, one) for one in images]):
        gone = image.neurons[layer][:, neuron, None] * exact(block.mlp.c_proj.weight)[:, neuron]
        without[each, 2] = _factor(visual, image, 2, image.streams[2] - gone)
    shared: Any = (trace.sigma, trace.mu, trace.norm, maps, "own")
    change = conventions.heads(trace.factor, *shared) - conventions.heads(without, *shared)
    np.testing.assert_allclose(change.sum(axis=(1, 2)), found[:, neuron], atol=1e-6)


def test_a_half_precision_tower_gives_nearly_the_same_effects() -> None:
    visual = tower()
    images = photos(visual, count=2)
    full = ours(visual, images, 1)[0]
    half = ours(visual.to(torch.bfloat16), images, 1)[0]
    assert np.abs(half - full).max() < 0.1 * np.abs(full).max()


def test_asking_for_neurons_changes_nothing_else() -> None:
    visual = tower()
    with vision(visual).watch() as plain, vision(visual).watch([0, 1]) as more:
        before, after = plain(photos(visual)), more(photos(visual))
    assert before.neuron_factor is None
    assert after.neuron_factor is not None
    assert [after.neuron_factor[layer].shape for layer in (0, 1)] == [(3, 2, 4, 48), (3, 1, 4, 48)]
    np.testing.assert_array_equal(before.factor, after.factor)
    assert not any(each._forward_hooks or each._forward_pre_hooks for each in visual.modules())


def test_a_direction_is_the_first_principal_component_to_where_most_effects_lie() -> None:
    dice = np.random.default_rng(0)
    effect = dice.normal(size=(5, 12, 9)) * dice.uniform(0.1, 3, 9) + dice.normal(size=(5, 1, 9)) - 0.5
    effect[3] = effect[3, :1]
    effect[4] = 0
    direction, share, mean = second_order.principal(effect)
    for neuron in range(3):
        centred = effect[neuron] - effect[neuron].mean(axis=0)
        _, weights, vectors = np.linalg.svd(centred)
        assert np.isclose(abs(direction[neuron] @ vectors[0]), 1)
        assert np.isclose(share[neuron], weights[0] ** 2 / np.square(weights).sum())
        assert np.sign(effect[neuron] @ direction[neuron]).sum() >= 0
    assert np.isnan(direction[3:]).all()
    assert np.isnan(share[3:]).all()
    np.testing.assert_allclose(mean, effect.mean(axis=1))


def test_a_tie_of_signs_goes_to_the_largest_entry() -> None:
    effect = np.array([[[1.0, -3.0], [-1.0, 3.0]]])
    direction, _, _ = second_order.principal(effect)
    np.testing.assert_allclose(direction, [[-(10**-0.5), 3 * 10**-0.5]])


def dense(directions: Exact, texts: Exact, m: int) -> tuple[Exact, Exact]:
    """Write codes out, "neuron text", with their shares."""
    codes = list(second_order.sparse_codes(directions, texts, m))
    found = np.zeros((len(directions), len(texts)))
    for row, code in zip(found, codes, strict=True):
        row[code.texts] = code.coefficients
    return found, np.array([code.share for code in codes])


def test_a_sparse_code_takes_no_room_that_grows_with_pairs_of_texts() -> None:
    dice = np.random.default_rng(2)
    texts = dice.normal(size=(6000, 8))
    texts /= np.linalg.norm(texts, axis=1, keepdims=True)
    tracemalloc.start()
    try:
        for code in second_order.sparse_codes(dice.normal(size=(130, 8)), texts, 3):
            assert len(code.texts) == 3
        assert (
            tracemalloc.get_traced_memory()[1] < 30 * texts.nbytes
        )  # all pairs would take 750 times as much
    finally:
        tracemalloc.stop()


def test_a_sparse_code_is_that_of_scikit_learn() -> None:
    dice = np.random.default_rng(1)
    texts = dice.normal(size=(40, 12)) + 0.3
    texts /= np.linalg.norm(texts, axis=1, keepdims=True)
    directions = dice.normal(size=(6, 12))
    for m in (1, 3, 7):
        codes, share = dense(directions, texts, m)
        np.testing.assert_allclose(
            codes, orthogonal_mp(texts.T, directions.T, n_nonzero_coefs=m).T, atol=1e-9
        )
        rest = np.square(directions - codes @ texts).sum(axis=1)
        np.testing.assert_allclose(share, 1 - rest / np.square(directions).sum(axis=1))


def test_a_sparse_code_ends_at_the_rank_and_takes_the_first_of_equal_texts() -> None:
    texts = np.eye(3)[[0, 0, 1, 1]]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        codes, share = dense(np.array([[2.0, -1.0, 0.0], [0.0, 0.0, 1.0]]), texts, 4)
    assert codes.tolist() == [[2, 0, -1, 0], [0, 0, 0, 0]]
    assert share.tolist() == [1, 0]
