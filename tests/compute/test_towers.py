"""Tracing a tower gives the paper's decomposition, leaves the model as it was, and proves its own sum."""

from __future__ import annotations

from dataclasses import fields, replace
from functools import partial
from typing import Any, get_args

import numpy as np
import pytest
import torch
from open_clip.coca_model import CoCa
from open_clip.model import CLIP, CustomTextCLIP, convert_weights_to_lp
from open_clip.transformer import LayerNormFp32, QuickGELU, VisionTransformer
from torch import nn

from belvedere.compute.heads import conventions
from belvedere.compute.towers.check import TOLERANCE, check
from belvedere.compute.towers.native import describe
from belvedere.compute.towers.trace import Constants, Trace
from belvedere.compute.towers.vision import vision
from belvedere.store.sets import TowerShape
from tests.compute.naive_tower import Exact, decompose, exact, photos, tower

VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "layer scale": {"ls_init_value": 0.1},
    "no ln_pre": {"no_ln_pre": True, "layers": 2},
    "ln_post after pooling, quick gelu": {"final_ln_after_pool": True, "act_layer": QuickGELU},
    "head scale, normed queries and keys, normed MLP": {
        "scale_heads": True,
        "qk_norm": True,
        "scale_fc": True,
    },
    "large eps, tokens returned": {
        "norm_layer": partial(nn.LayerNorm, eps=0.05),
        "output_tokens": True,
        "patch_dropout": 0.5,
    },
}
ENTRY = ("rest", "class_factor", "entry", "entry_mean", "neuron_factor", "patch", "patch_mean")
"""Parts of a trace that only texts have, or that only some ask for."""


def traced(visual: VisionTransformer, images: torch.Tensor, tokens: bool = False) -> Trace:
    with vision(visual).watch() as tracer:
        return tracer(images, tokens=tokens)


def assert_near(actual: Any, expected: Any) -> None:
    """Compare whole arrays, to 1e-5 of the largest value."""
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


def hooks_of(visual: nn.Module) -> list[Any]:
    stored = [(module._forward_hooks, module._forward_pre_hooks) for module in visual.modules()]
    return [hook for before, after in stored for hook in (*before.values(), *after.values())]


@pytest.mark.parametrize("convention", ["own", "clip_prs"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_term_equals_the_formula_written_out_in_float64(
    variant: str, convention: conventions.Convention
) -> None:
    visual = tower(**VARIANTS[variant])
    images = photos(visual)
    literal = decompose(visual, images, convention)
    assert_near(literal.total, literal.embedding)
    trace, maps = traced(visual, images, tokens=True), vision(visual).constants()
    assert trace.token_factor is not None
    shared = (trace.sigma, trace.mu, trace.norm, maps, convention)
    assert_near(trace.embedding, literal.embedding)
    assert_near(conventions.tokens(trace.token_factor, *shared), literal.tokens)
    assert_near(conventions.heads(trace.factor, *shared), literal.tokens.sum(axis=3))
    assert_near(conventions.mlps(trace.mlp, trace.mlp_mean, *shared), literal.mlps)
    assert conventions.residual_terms(maps.shape, convention) == tuple(literal.residual)
    assert_near(conventions.residual(*shared), np.stack(list(literal.residual.values()), axis=1))


@pytest.mark.parametrize("convention", ["own", "clip_prs"])
def test_without_a_projection_the_joint_space_is_the_stream(convention: conventions.Convention) -> None:
    visual = tower()
    visual.proj = None
    images = photos(visual)
    literal = decompose(visual, images, convention)
    trace, maps = traced(visual, images), vision(visual).constants()
    assert maps.shape.joint == visual.conv1.out_channels
    contributions = conventions.heads(trace.factor, trace.sigma, trace.mu, trace.norm, maps, convention)
    assert_near(contributions, literal.tokens.sum(axis=3))
    assert check(trace, maps) < 1e-5


def test_all_terms_sum_to_the_embedding_that_the_model_itself_gives() -> None:
    visual = tower()
    images = photos(visual)
    trace, maps = traced(visual, images), vision(visual).constants()
    with torch.inference_mode():
        own = nn.functional.normalize(visual(images), dim=-1).numpy()
    for convention in get_args(conventions.Convention):
        shared = (trace.sigma, trace.mu, trace.norm, maps, convention)
        heads = conventions.heads(trace.factor, *shared).sum(axis=(1, 2))
        mlps = conventions.mlps(trace.mlp, trace.mlp_mean, *shared).sum(axis=1)
        assert_near(heads + mlps + conventions.residual(*shared).sum(axis=1), own)


@pytest.mark.parametrize("head", range(4))
def test_zeroing_a_last_layer_head_changes_the_output_by_its_contribution(head: int) -> None:
    visual = tower()
    images = photos(visual)
    trace, maps = traced(visual, images), vision(visual).constants()
    before = last_stream(visual, images)
    dim = maps.shape.head_dim
    last: Any = visual.transformer.resblocks[-1]
    last.mlp = Frozen(last.mlp, images, visual)
    with torch.no_grad():
        last.attn.out_proj.weight[:, head * dim : (head + 1) * dim] = 0
    change = before - last_stream(visual, images)
    frozen = trace.sigma[:, None].astype(np.float64)
    P, g = exact(visual.proj), exact(visual.ln_post.weight)
    centred = (change - change.mean(axis=1, keepdims=True)) / frozen * g @ P
    shared = (trace.sigma, trace.mu, trace.norm, maps)
    own = conventions.heads(trace.factor, *shared, "own")[:, -1, head]
    np.testing.assert_allclose(own * trace.norm[:, None], centred, atol=2e-6)
    without = trace.factor.copy()
    without[:, -1, head] = 0
    equal_split = [conventions.heads(s, *shared, "clip_prs")[:, -1, head] for s in (trace.factor, without)]
    whole = change / frozen * g @ P
    np.testing.assert_allclose((equal_split[0] - equal_split[1]) * trace.norm[:, None], whole, atol=2e-6)


class Frozen(nn.Module):
    """An MLP that keeps giving what it gave for these images."""

    def __init__(self, mlp: nn.Module, images: torch.Tensor, visual: nn.Module) -> None:
        super().__init__()
        seen: list[torch.Tensor] = []
        handle = mlp.register_forward_hook(lambda module, args, output: seen.append(output))
        with torch.inference_mode():
            visual(images)
        handle.remove()
        self.output = seen[0]

    def forward(self, stream: torch.Tensor) -> torch.Tensor:
        return self.output


def last_stream(visual: VisionTransformer, images: torch.Tensor) -> Exact:
    """Give the class token before ln_post, "image width"."""
    seen: list[torch.Tensor] = []
    handle = visual.ln_post.register_forward_pre_hook(lambda module, args: seen.append(args[0][:, 0]))
    with torch.inference_mode():
        visual(images)
    handle.remove()
    return exact(seen[0])


def test_asking_for_tokens_changes_nothing_else() -> None:
    visual = tower()
    without, within = (traced(visual, photos(visual), tokens=tokens) for tokens in (False, True))
    for part in fields(Trace):
        if part.name not in ("token_factor", *ENTRY):
            np.testing.assert_array_equal(getattr(without, part.name), getattr(within, part.name))
    assert without.token_factor is None
    assert within.token_factor is not None
    assert_near(within.token_factor.sum(axis=3), within.factor)


def test_parts_are_contiguous_float32_of_the_promised_shapes() -> None:
    visual = tower()
    trace = traced(visual, photos(visual, count=2), tokens=True)
    assert describe(visual) == TowerShape(
        layers=3, heads=4, head_dim=6, width=24, joint=10, tokens=7, grid=(3, 2)
    )
    parts = [part for part in fields(Trace) if part.name not in ENTRY]
    shapes = {part.name: getattr(trace, part.name).shape for part in parts}
    assert shapes == {
        "factor": (2, 3, 4, 6),
        "token_factor": (2, 3, 4, 7, 6),
        "mlp": (2, 3, 10),
        "mlp_mean": (2, 3),
        "sigma": (2,),
        "mu": (2,),
        "norm": (2,),
        "embedding": (2, 10),
    }
    for part in parts:
        values = getattr(trace, part.name)
        assert (values.dtype, values.flags.c_contiguous) == (np.float32, True), part.name


def test_no_hook_is_left_behind() -> None:
    visual = tower()
    with vision(visual).watch() as tracer:
        tracer(photos(visual))
        assert len(hooks_of(visual)) == 2 * 3 + 1
    assert hooks_of(visual) == []


def test_no_hook_is_left_behind_by_an_exception() -> None:
    visual = tower()
    with pytest.raises(RuntimeError), vision(visual).watch() as tracer:
        tracer(torch.zeros(1, 3, 100, 100))
    assert hooks_of(visual) == []


def test_a_failed_batch_leaves_nothing_in_the_next() -> None:
    visual = tower()
    images = photos(visual)
    with vision(visual).watch() as tracer:
        with pytest.raises(RuntimeError):
            tracer(torch.zeros(1, 3, 100, 100))
        np.testing.assert_array_equal(tracer(images).factor, traced(visual, images).factor)


def test_outside_its_block_a_tracer_says_how_it_is_used() -> None:
    visual = tower()
    tracer = vision(visual).watch()
    for _ in range(2):
        with pytest.raises(RuntimeError, match=r"with tower\.watch"):
            tracer(photos(visual))
        with tracer:
            tracer(photos(visual))


def test_a_plain_pass_inside_the_block_is_not_recorded() -> None:
    visual = tower()
    images = photos(visual)
    with vision(visual).watch() as tracer:
        visual(images + 1)
        np.testing.assert_array_equal(tracer(images).factor, traced(visual, images).factor)


def test_a_training_tower_is_traced_in_evaluation_and_put_back() -> None:
    visual = tower(patch_dropout=0.5)
    images = photos(visual)
    expected = traced(visual, images)
    visual.train()
    visual.ln_post.eval()
    modes = [module.training for module in visual.modules()]
    actual = traced(visual, images)
    assert [module.training for module in visual.modules()] == modes
    np.testing.assert_array_equal(actual.factor, expected.factor)
    np.testing.assert_array_equal(actual.embedding, expected.embedding)
    with pytest.raises(RuntimeError), vision(visual).watch() as tracer:
        tracer(torch.zeros(1, 3, 100, 100))
    assert [module.training for module in visual.modules()] == modes


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
@pytest.mark.parametrize(
    "variant", ["plain", "layer scale", "head scale, normed queries and keys, normed MLP"]
)
def test_a_half_precision_tower_sums_within_its_tolerance(precision: str, variant: str) -> None:
    visual = tower(**VARIANTS[variant]).to(getattr(torch, precision))
    trace = traced(visual, photos(visual), tokens=True)
    assert trace.token_factor is not None
    assert trace.factor.dtype == trace.token_factor.dtype == np.float32
    assert check(trace, vision(visual).constants()) <= TOLERANCE[precision]
    scale = np.abs(trace.factor).max() * TOLERANCE[precision]
    np.testing.assert_allclose(trace.token_factor.sum(axis=3), trace.factor, atol=scale)


def test_a_half_precision_tower_with_float32_norms_sums_within_its_tolerance() -> None:
    visual = tower(norm_layer=LayerNormFp32)
    convert_weights_to_lp(visual, torch.bfloat16)
    assert check(traced(visual, photos(visual)), vision(visual).constants()) <= TOLERANCE["bfloat16"]


def test_the_scalars_of_a_half_precision_tower_are_float32_exact() -> None:
    visual = tower().to(torch.bfloat16)
    images = photos(visual)
    trace, last = traced(visual, images), last_stream(visual, images.bfloat16())
    np.testing.assert_allclose(trace.mu, last.mean(axis=1), rtol=1e-5)
    np.testing.assert_allclose(trace.sigma, np.sqrt(last.var(axis=1) + visual.ln_post.eps), rtol=1e-6)


@pytest.mark.parametrize("part", ["factor", "mlp", "mlp_mean", "sigma", "mu", "norm"])
def test_the_check_sees_any_part_that_is_wrong(part: str) -> None:
    visual = tower()
    trace, maps = traced(visual, photos(visual)), vision(visual).constants()
    assert check(trace, maps) < 1e-5
    spoilt = getattr(trace, part).copy()
    spoilt[(-1,) * spoilt.ndim] += 0.1
    assert check(replace(trace, **{part: spoilt}), maps) > 1e-4


@pytest.mark.parametrize(
    "part", ["head_map", "head_mean", "attn_bias", "attn_bias_mean", "embedding", "bias"]
)
def test_the_check_sees_any_map_that_is_wrong(part: str) -> None:
    visual = tower()
    trace, maps = traced(visual, photos(visual)), vision(visual).constants()
    spoilt: Constants = replace(maps, **{part: getattr(maps, part) * np.float32(1.1)})
    assert check(trace, spoilt) > 1e-4


def test_the_check_is_not_a_number_where_the_tower_gave_none() -> None:
    visual = tower()
    images = photos(visual)
    images[1] = torch.nan
    assert np.isnan(check(traced(visual, images), vision(visual).constants()))


def test_the_towers_of_custom_text_clip_and_coca_are_traced_alike() -> None:
    sees = {"image_size": 16, "patch_size": 8, "width": 24, "layers": 2, "head_width": 8, "mlp_ratio": 2.0}
    text = {"context_length": 8, "vocab_size": 20, "width": 16, "heads": 2, "layers": 1}
    decoder = text | {"attn_pooler_heads": 2, "dim_head": 8}
    models: list[Any] = [
        CLIP(10, sees, text),
        CustomTextCLIP(10, sees, text),
        CoCa(10, decoder, text, sees | {"output_tokens": True}),
    ]
    for model in models:
        images = photos(model.visual)
        trace = traced(model.visual, images)
        with torch.inference_mode():
            expected = nn.functional.normalize(model.eval().encode_image(images), dim=-1).numpy()
        assert_near(trace.embedding, expected)
        assert check(trace, vision(model.visual).constants()) < 1e-5


def test_a_tower_of_real_shape_sums_to_the_float32_tolerance() -> None:
    visual = tower(
        image_size=224, patch_size=32, width=768, layers=12, heads=12, mlp_ratio=4.0, output_dim=512
    )
    trace, maps = traced(visual, photos(visual, count=1)), vision(visual).constants()
    assert describe(visual) == TowerShape(
        layers=12, heads=12, head_dim=64, width=768, joint=512, tokens=50, grid=(7, 7)
    )
    assert check(trace, maps) <= TOLERANCE["float32"]
