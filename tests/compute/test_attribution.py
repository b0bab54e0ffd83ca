"""Six attributions from hooks on the unmodified tower are what their formulas give, one number at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from open_clip.transformer import LayerScale, VisionTransformer
from torch import Tensor, nn

from belvedere.compute.attribution import GRADIENTS, method
from belvedere.compute.attribution.watching import watch
from tests.compute import naive_tower

OPTIONS: list[dict[str, Any]] = [
    {},
    {"ls_init_value": 0.3, "block_type": "custom", "scale_heads": True, "qk_norm": True, "no_ln_pre": True},
]


@dataclass
class Literal:
    """A plainly written tower's pass of one image, with the attention of each head a tensor of its own."""

    steps: list[dict[str, Tensor]]
    attention: list[Tensor]  # each head query token, leaves of the graph
    stream: Tensor  # what the convolution and the class token give, before positions
    positions: Tensor
    normed: Tensor  # the class token behind the last norm
    cosine: Tensor
    readout: Tensor


def literal(visual: VisionTransformer, image: Tensor, text: Tensor) -> Literal:
    """Run one image through the tower, written out in torch in float64."""
    steps, weights = [], []
    height, width = visual.patch_size
    tokens = [visual.class_embedding]
    for y, x in np.ndindex(*visual.grid_size):
        patch = image[:, y * height : (y + 1) * height, x * width : (x + 1) * width]
        tokens.append((visual.conv1.weight * patch).sum((1, 2, 3)))
    stream = torch.stack(tokens).detach()
    x = visual.ln_pre(stream + visual.positional_embedding).detach()
    for block in visual.transformer.resblocks:
        attention: Any = block.attn
        count, dim = attention.num_heads, attention.head_dim
        seen = block.ln_1(x)
        q, k, v = (seen @ attention.in_proj_weight.T + attention.in_proj_bias).chunk(3, dim=-1)
        q, k, v = (each.view(-1, count, dim).transpose(0, 1) for each in (q, k, v))
        if hasattr(attention, "ln_q"):
            q, k = attention.ln_q(q), attention.ln_k(k)
        alpha = torch.softmax(q @ k.transpose(1, 2) / dim**0.5, dim=-1)
        gathered = alpha @ v
        if getattr(attention, "head_scale", None) is not None:
            gathered = gathered * attention.head_scale
        context = gathered.transpose(0, 1).reshape(len(x), -1)
        written = block.ls_1(context @ attention.out_proj.weight.T + attention.out_proj.bias)
        middle = x + written
        wide = block.ln_2(middle)
        hidden = block.mlp.gelu(wide @ block.mlp.c_fc.weight.T + block.mlp.c_fc.bias)
        hidden = block.mlp.ln(hidden) if hasattr(block.mlp, "ln") else hidden
        added = block.ls_2(hidden @ block.mlp.c_proj.weight.T + block.mlp.c_proj.bias)
        steps.append(
            {
                "x": x,
                "seen": seen,
                "q": q,
                "k": k,
                "v": v,
                "context": context,
                "written": written,
                "middle": middle,
                "wide": wide,
                "hidden": hidden,
                "added": added,
            }
        )
        weights.append(alpha)
        alpha.retain_grad() if alpha.requires_grad else None
        x = middle + added
    normed = visual.ln_post(x)[0]
    readout = visual.proj @ text
    output = normed @ visual.proj
    return Literal(
        steps, weights, stream, visual.positional_embedding, normed, (output @ text) / output.norm(), readout
    )


def divide(above: Any, below: Any) -> Any:
    """The published division: denominators are held off zero, so that all of them are a little off."""
    above, below = (torch.as_tensor(each, dtype=torch.float64) for each in (above, below))
    found = torch.zeros_like(above + below)
    for place in np.ndindex(*found.shape):
        a, b = above.expand(found.shape)[place], below.expand(found.shape)[place]
        held = max(b, 1e-9) + min(b, 1e-9)
        held += 1e-9 if held == 0 else 0
        found[place] = a / held if b != 0 else 0
    return found


def linear(x: Tensor, weight: Tensor, relevance: Tensor) -> Tensor:
    """The z⁺ rule, one output and one input at a time: "token out" to "token in"."""
    found = torch.zeros_like(x)
    for token in range(len(x)):
        for out in range(len(weight)):
            parts = [max(float(x[token, i] * weight[out, i]), 0.0) for i in range(x.shape[1])]
            share = divide(relevance[token, out], sum(parts))
            for i, part in enumerate(parts):
                found[token, i] += part * share
    return found


def add(first: Tensor, second: Tensor, relevance: Tensor, scaled: bool) -> tuple[Tensor, Tensor]:
    share = divide(relevance, first + second)
    one, two = first * share, second * share
    if not scaled:
        return one, two
    sizes = abs(one.sum()) + abs(two.sum())
    return (
        one * divide(divide(abs(one.sum()), sizes) * relevance.sum(), one.sum()),
        two * divide(divide(abs(two.sum()), sizes) * relevance.sum(), two.sum()),
    )


def product(first: Tensor, second: Tensor, relevance: Tensor) -> tuple[Tensor, Tensor]:
    """Share relevance of first @ second, "head i j", term by term, half to each factor."""
    one, two = torch.zeros_like(first), torch.zeros_like(second)
    whole = first @ second
    for head, i, j in np.ndindex(*whole.shape):
        share = divide(relevance[head, i, j], whole[head, i, j])
        for inner in range(first.shape[2]):
            part = first[head, i, inner] * second[head, inner, j] * share
            one[head, i, inner] += part / 2
            two[head, inner, j] += part / 2
    return one, two


@torch.no_grad()
def backwards(visual: VisionTransformer, run: Literal, scaled: bool) -> tuple[list[Tensor], Tensor]:
    """Pass relevance back; give that of the attention of each layer, first to last, and of the entry."""
    found = []
    relevance = torch.zeros_like(run.steps[0]["x"])
    relevance[0] = linear(run.normed[None], run.readout[None], torch.ones(1, 1, dtype=torch.float64))[0]
    for block, at in reversed(list(zip(visual.transformer.resblocks, run.steps, strict=True))):
        trunk, branch = add(at["middle"], at["added"], relevance, scaled)
        branch = linear(
            at["wide"], block.mlp.c_fc.weight, linear(at["hidden"], block.mlp.c_proj.weight, branch)
        )
        trunk, branch = add(at["x"], at["written"], trunk + branch, scaled)
        attention: Any = block.attn
        back = linear(at["context"], attention.out_proj.weight, branch)
        back = back.view(len(back), attention.num_heads, -1).transpose(0, 1)
        alpha = torch.softmax(at["q"] @ at["k"].transpose(1, 2) / attention.head_dim**0.5, dim=-1)
        to_alpha, to_v = product(alpha, at["v"], back)
        to_q, to_k = product(at["q"], at["k"].transpose(1, 2), to_alpha)
        three = [each.transpose(0, 1).flatten(1) for each in (to_q, to_k.transpose(1, 2), to_v)]
        relevance = trunk + linear(at["seen"], attention.in_proj_weight, torch.cat(three, dim=1))
        found.append(to_alpha)
    return found[::-1], relevance


def rolled(matrices: list[Tensor], shares: bool) -> Tensor:
    total = torch.eye(len(matrices[0]), dtype=torch.float64)
    for each in matrices:
        mixed = each + torch.eye(len(each), dtype=torch.float64)
        total = (mixed / mixed.sum(1, keepdim=True) if shares else mixed) @ total
    return total[0, 1:]


def expected(name: str, visual: VisionTransformer, image: Tensor, text: Tensor) -> Tensor:
    run = literal(visual, image, text)
    run.cosine.backward()  # type: ignore[no-untyped-call]
    slopes = [each.grad for each in run.attention]
    weights = [each.detach() for each in run.attention]
    if name == "rollout":
        return rolled([each.mean(0) for each in weights], shares=True)
    if name == "raw_attention":
        return weights[-1].mean(0)[0, 1:]
    if name == "gradcam":
        maps, grads = weights[-1][:, 0, 1:], slopes[-1][:, 0, 1:]  # type: ignore[index]
        return (maps * grads.mean(1, keepdim=True)).mean(0).clamp(min=0)
    relevance, entry = backwards(visual, run, scaled=name == "chefer")
    if name == "partial_lrp":
        return relevance[-1].clamp(min=0).mean(0)[0, 1:]
    if name == "lrp":
        with torch.no_grad():
            pixels, _ = add(run.stream, run.positions, entry, scaled=False)
        return pixels[1:].sum(1)
    mixed = [(slope * each).clamp(min=0).mean(0) for slope, each in zip(slopes, relevance, strict=True)]  # type: ignore[operator]
    return rolled(mixed[1:], shares=False)


@pytest.fixture(scope="module", params=OPTIONS, ids=["plain", "scaled"])
def tower(request: pytest.FixtureRequest) -> VisionTransformer:
    found: VisionTransformer = naive_tower.tower(
        layers=2, width=12, heads=2, output_dim=5, **request.param
    ).double()
    assert isinstance(found.transformer.resblocks[0].ls_1, LayerScale | nn.Identity)
    return found


def texts(count: int) -> Tensor:
    found = torch.randn((count, 5), generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    unit: Tensor = found / found.norm(dim=1, keepdim=True)
    return unit


@pytest.mark.parametrize("name", list(GRADIENTS))
def test_each_method_is_what_its_formulas_give(tower: VisionTransformer, name: str) -> None:
    images, asked = naive_tower.photos(tower, count=2).double(), texts(2)
    seen = watch(tower, images, lambda _: asked, gradients=GRADIENTS[name])
    found = method(name)(seen)
    for row, image, text in zip(found, images, asked, strict=True):
        wanted = expected(name, tower, image, text)
        torch.testing.assert_close(row, wanted, rtol=1e-7, atol=1e-7 * float(wanted.abs().max()))
    alone = watch(tower, images[1:], lambda _: asked[1:], gradients=GRADIENTS[name])
    torch.testing.assert_close(method(name)(alone), found[1:], rtol=1e-9, atol=1e-12)


def test_what_is_watched_is_left_as_it_was(tower: VisionTransformer) -> None:
    images, asked = naive_tower.photos(tower, count=2).double(), texts(2)
    embedded = []
    tower.zero_grad(set_to_none=True)

    def choose(embeddings: Tensor) -> Tensor:
        embedded.append(embeddings)
        return asked

    seen = watch(tower, images, choose, gradients=True)
    with torch.no_grad():
        output = tower(images)
    torch.testing.assert_close(embedded[0], output / output.norm(dim=1, keepdim=True))
    torch.testing.assert_close((seen.last * seen.readout).sum(1), (output * asked).sum(1))
    assert all(each.grad is None for each in tower.parameters())
    assert not any(each._forward_hooks or each._forward_pre_hooks for each in tower.modules())
    assert not images.requires_grad
