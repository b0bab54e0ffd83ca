"""A text tower is taken apart exactly: each term, their sum, and what zeroing a head changes."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from open_clip.coca_model import CoCa
from open_clip.model import CLIP, CustomTextCLIP, _build_text_tower
from open_clip.transformer import TextTransformer
from torch import nn

from belvedere.compute.heads import conventions
from belvedere.compute.towers import text_support
from belvedere.compute.towers.check import TOLERANCE, check
from belvedere.compute.towers.text import describe, text
from belvedere.compute.towers.trace import Constants, Trace
from belvedere.store.errors import NoTextTower, UnsupportedTower
from belvedere.store.sets import Model, TowerShape
from tests.compute.naive_text import LENGTH, VISION, decompose, model, sentences
from tests.compute.naive_tower import exact

VARIANTS: dict[str, tuple[type[nn.Module], dict[str, Any]]] = {
    "CLIP": (CLIP, {}),
    "eos, projection with a bias": (CLIP, {"pool_type": "eos", "eos_id": 41, "proj_bias": True}),
    "CustomTextCLIP, no mask, last token": (
        CustomTextCLIP,
        {"no_causal_mask": True, "pool_type": "last"},
    ),
    "CustomTextCLIP, an appended class token": (CustomTextCLIP, {"embed_cls": True, "proj_bias": True}),
    "first token, layer scale, no projection": (
        CustomTextCLIP,
        {"pool_type": "first", "no_causal_mask": True, "ls_init_value": 0.1, "proj_type": "none"},
    ),
    "head scale, normed queries and keys": (CustomTextCLIP, {"scale_heads": True, "qk_norm": True}),
}


def traced(net: Any, tokens: torch.Tensor) -> tuple[Trace, Constants]:
    tower = text(net)
    with tower.watch() as tracer:
        return tracer(tokens, tokens=True), tower.constants()


def assert_near(actual: Any, expected: Any) -> None:
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("convention", ["own", "clip_prs"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_term_equals_the_formula_written_out_in_float64(
    variant: str, convention: conventions.Convention
) -> None:
    kind, options = VARIANTS[variant]
    net, tokens = model(kind, **options), sentences()
    literal = decompose(net, tokens, convention)
    trace, maps = traced(net, tokens)
    with torch.inference_mode():
        assert_near(nn.functional.normalize(net.encode_text(tokens), dim=-1).numpy(), literal.embedding)
    assert_near(literal.total, literal.embedding)
    assert_near(trace.embedding, literal.embedding)
    assert trace.token_factor is not None
    shared = (trace.sigma, trace.mu, trace.norm, maps, convention)
    assert_near(conventions.tokens(trace.token_factor, *shared), literal.tokens)
    assert_near(conventions.heads(trace.factor, *shared), literal.tokens.sum(axis=3))
    assert_near(conventions.mlps(trace.mlp, trace.mlp_mean, *shared), literal.mlps)
    last = [name for name in literal.residual if name in ("ln_final_bias", "projection_bias")]
    assert conventions.residual_terms(maps.shape, convention, last) == tuple(literal.residual)
    rest = conventions.residual(*shared, trace.entry, trace.entry_mean)
    assert_near(rest, np.stack(list(literal.residual.values()), axis=1))
    assert check(trace, maps) < TOLERANCE["float32"]


@pytest.mark.parametrize("head", range(4))
def test_zeroing_a_last_layer_head_changes_the_output_by_its_contribution(head: int) -> None:
    net, tokens = model(), sentences()
    trace, maps = traced(net, tokens)
    before, dim = last_stream(net, tokens), maps.shape.head_dim
    last = net.transformer.resblocks[-1]
    last.mlp = Frozen(last.mlp, tokens, net)
    with torch.no_grad():
        last.attn.out_proj.weight[:, head * dim : (head + 1) * dim] = 0
    change = before - last_stream(net, tokens)
    P, g = exact(net.text_projection), exact(net.ln_final.weight)
    centred = (change - change.mean(axis=1, keepdims=True)) / trace.sigma[:, None].astype(np.float64) * g @ P
    own = conventions.heads(trace.factor, trace.sigma, trace.mu, trace.norm, maps, "own")[:, -1, head]
    np.testing.assert_allclose(own * trace.norm[:, None], centred, atol=2e-6)
    assert np.abs(centred).max() > 0.01


class Frozen(nn.Module):
    """An MLP that keeps giving what it gave for these texts."""

    def __init__(self, mlp: nn.Module, tokens: torch.Tensor, net: Any) -> None:
        super().__init__()
        seen: list[torch.Tensor] = []
        handle = mlp.register_forward_hook(lambda module, args, output: seen.append(output))
        with torch.inference_mode():
            net.encode_text(tokens)
        handle.remove()
        self.output = seen[0]

    def forward(self, stream: torch.Tensor) -> torch.Tensor:
        return self.output


def last_stream(net: Any, tokens: torch.Tensor) -> Any:
    """Give the end token before ln_final, "text width"."""
    seen: list[torch.Tensor] = []
    handle = net.ln_final.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    with torch.inference_mode():
        net.encode_text(tokens)
    handle.remove()
    return exact(seen[0])[np.arange(len(tokens)), tokens.argmax(dim=-1).numpy()]


def test_tokens_after_the_end_add_nothing() -> None:
    net, tokens = model(), sentences()
    factor = traced(net, tokens)[0].token_factor
    assert factor is not None
    for row, end in enumerate(tokens.argmax(dim=-1).tolist()):
        assert np.abs(factor[row, :, :, : end + 1]).min() > 0
        assert not factor[row, :, :, end + 1 :].any()


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
@pytest.mark.parametrize("variant", ["CLIP", "CustomTextCLIP, an appended class token"])
def test_a_half_precision_tower_sums_within_its_tolerance(precision: str, variant: str) -> None:
    kind, options = VARIANTS[variant]
    net, tokens = model(kind, **options).to(getattr(torch, precision)), sentences()
    assert 1e-5 < check(*traced(net, tokens)) <= TOLERANCE[precision]


@pytest.mark.parametrize("part", ["factor", "mlp", "mlp_mean", "sigma", "mu", "norm", "entry", "entry_mean"])
def test_the_check_sees_any_part_that_is_wrong(part: str) -> None:
    trace, maps = traced(model(), sentences())
    spoilt = getattr(trace, part).copy()
    spoilt[(-1,) * spoilt.ndim] += 0.1
    assert check(replace(trace, **{part: spoilt}), maps) > 1e-4


def test_the_text_tower_of_coca_is_traced_too() -> None:
    sizes = {"context_length": LENGTH, "vocab_size": 42, "width": 24, "heads": 4, "layers": 2}
    decoder = sizes | {"attn_pooler_heads": 2, "dim_head": 8}
    outputs = {"embed_cls": True, "output_tokens": True}
    net: Any = CoCa(10, decoder, sizes | outputs, VISION | {"output_tokens": True}).eval()
    trace, maps = traced(net, sentences())
    with torch.inference_mode():
        assert_near(trace.embedding, net.encode_text(sentences()).numpy())
    assert check(trace, maps) < 1e-5


def test_no_hook_is_left_behind() -> None:
    net = model()
    traced(net, sentences())
    assert not any(each._forward_hooks or each._forward_pre_hooks for each in net.modules())


def is_plain(vision: dict[str, Any]) -> bool:
    """Whether a vision tower is open_clip's own, and pools its class token."""
    options = ("timm_model_name", "attentional_pool")
    plain = not any(vision.get(each) for each in options) and not isinstance(vision["layers"], list)
    return plain and vision.get("pool_type", "tok") == "tok"


CONFIGURATIONS = {name: open_clip.get_model_config(name) for name in open_clip.list_models()}
OURS = [name for name, config in CONFIGURATIONS.items() if is_plain(config["vision_cfg"])]


def of(config: dict[str, Any]) -> Model:
    """A model of a configuration, as a store knows it."""
    facts = {"architecture": {"text_cfg": config["text_cfg"], "embed_dim": config["embed_dim"]}}
    return Model("m", "open_clip:m", None, "float32", None, {}, {}, facts, {})


def test_of_the_48_models_whose_class_token_is_pooled_40_have_a_text_tower_that_is() -> None:
    reasons = {name: text_support.why_unsupported(CONFIGURATIONS[name]["text_cfg"]) for name in OURS}
    assert Counter(reason is None for reason in reasons.values()) == {True: 40, False: 8}
    assert reasons["roberta-ViT-B-32"] == "it is transformers' roberta-base, not open_clip's TextTransformer"
    known = {
        str(CONFIGURATIONS[name]["text_cfg"]): name for name, reason in reasons.items() if reason is None
    }
    for name in known.values():
        config = CONFIGURATIONS[name]
        with torch.device("meta"):
            built = _build_text_tower(config["embed_dim"], config["text_cfg"])
        assert text_support.text_shape(of(config)) == describe(built), name
        assert text(built).shape == describe(built)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"pool_type": "none"}, "it pools no one token (pool_type='none')"),
        ({"scale_attn": True}, "a LayerNorm (scale_attn) stands between the heads and the residual stream"),
        ({"scale_attn_inner": True}, "a LayerNorm over all heads (scale_attn_inner) stands before"),
    ],
)
def test_a_module_is_refused_for_what_it_is_and_its_configuration_alike(
    options: dict[str, Any], reason: str
) -> None:
    with pytest.raises(UnsupportedTower, match="the text tower of 'mine' is not supported") as caught:
        text(model(CustomTextCLIP, **options), "mine")
    assert caught.value.reason.startswith(reason)
    assert (text_support.why_unsupported(options) or "").startswith(reason)


def test_other_text_towers_are_refused_by_name() -> None:
    net = model(CustomTextCLIP)
    net.text = nn.Linear(3, 3)
    with pytest.raises(UnsupportedTower, match="its class is Linear, not open_clip's TextTransformer"):
        text(net)
    with pytest.raises(UnsupportedTower, match=r"it is not open_clip's \(open_clip:m\)"):
        text_support.text_shape(replace(of(CONFIGURATIONS["ViT-B-32"]), text={"weights": ""}))
    with pytest.raises(NoTextTower, match="embeds no texts"):
        text_support.text_shape(replace(of(CONFIGURATIONS["ViT-B-32"]), text={}))


def test_the_sizes_are_those_of_the_modules() -> None:
    assert describe(model()) == TowerShape(
        layers=3, heads=4, head_dim=6, width=24, joint=10, tokens=LENGTH, varying=("embedding",)
    )
    assert isinstance(text(model(CustomTextCLIP)).module, TextTransformer)
