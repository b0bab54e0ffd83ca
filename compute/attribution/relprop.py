"""Layer-wise relevance propagation backwards through the blocks of a vision transformer.

The rules are those of Chefer, Gur and Wolf, "Transformer Interpretability Beyond Attention Visualization"
(CVPR 2021, section 3.1), and of the LRP that they compare with: in a linear layer the z⁺ rule of deep Taylor
decomposition (positive parts of input times weight, biases left out), in a product of two tensors and in a
sum the share of each factor or summand. Their own method scales the two sides of a residual connection, so
that together they have the relevance that came in; plain LRP does not. Norms, activations and softmax pass
relevance on unchanged, as LayerScale and scaled heads, which are multiplications by constants, do here. Sums
for scaling are taken by image, so that batches change nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from .watching import Layer, Seen

TINY = 1e-9
"""What keeps a denominator away from zero."""


@dataclass(slots=True, eq=False)
class Passed:
    """Relevance on its way back through one block."""

    attention: Tensor
    """That of the block's attention weights, "image head query token"."""
    entering: Tensor
    """That of what enters the block, "image token width"."""


def backwards(seen: Seen, *, scaled: bool) -> Iterator[Passed]:
    """Pass relevance back through the blocks, from the last to the first; `scaled` as in `add`.

    It starts as 1 at the similarity with the text, of which the readout P·text is taken for one linear layer
    over the class token: a CLIP has no logits, and its zero-shot classifier is this layer.
    """
    ones = torch.ones_like(seen.last[:, :1])
    first = _linear(seen.last[:, None], seen.readout[:, None], ones[:, None])
    relevance = torch.zeros_like(seen.layers[-1].entering)
    relevance[:, :1] = first
    for layer in reversed(seen.layers):
        passed = _block(layer, relevance, scaled)
        yield passed
        relevance = passed.entering


def add(first: Tensor, second: Tensor, relevance: Tensor, *, scaled: bool) -> tuple[Tensor, Tensor]:
    """Share relevance between two summands, "image …", by their parts, or `scaled` to what came in."""
    share = divided(relevance, first + second)
    parts = first * share, second * share
    if not scaled:
        return parts
    sums = [part.flatten(1).sum(1) for part in parts]
    sizes = sums[0].abs() + sums[1].abs()
    whole = relevance.flatten(1).sum(1)
    scales = [divided(divided(each.abs(), sizes) * whole, each) for each in sums]
    shape = (-1, *[1] * (first.ndim - 1))
    return parts[0] * scales[0].view(shape), parts[1] * scales[1].view(shape)


def divided(above: Tensor, below: Tensor) -> Tensor:
    """Divide, and give zero where it would be by zero."""
    held = below.clamp(min=TINY) + below.clamp(max=TINY)
    held = held + (held == 0) * TINY
    return above / held * (below != 0)


def _block(layer: Layer, relevance: Tensor, scaled: bool) -> Passed:
    trunk, branch = add(layer.middle, layer.added, relevance, scaled=scaled)
    mlp = layer.block.mlp
    narrow, wide = (each.weight.detach().to(relevance) for each in (mlp.c_proj, mlp.c_fc))
    branch = _linear(layer.widening, wide, _linear(layer.hidden, narrow, branch))
    trunk, branch = add(layer.entering, layer.attended, trunk + branch, scaled=scaled)
    attention, into = _attention(layer, branch)
    return Passed(attention, trunk + into)


def _attention(layer: Layer, relevance: Tensor) -> tuple[Tensor, Tensor]:
    """Give the relevance of the attention weights, and of what the attention sees."""
    module, weights = layer.block.attn, layer.attention
    projection = module.out_proj.weight.detach().to(relevance)
    back = _linear(layer.context, projection, relevance)
    by_head = back.view(*back.shape[:2], module.num_heads, module.head_dim).transpose(1, 2)
    queries, keys, values = layer.queries, layer.keys, layer.values
    to_weights, to_values = _product(weights, values, by_head)
    to_queries, to_keys = _product(queries, keys.transpose(-1, -2), to_weights)
    three = [to_queries, to_keys.transpose(-1, -2), to_values]
    joined = torch.cat([each.transpose(1, 2).flatten(2) for each in three], dim=-1)
    return to_weights, _linear(layer.normed, module.in_proj_weight.detach().to(relevance), joined)


def _product(first: Tensor, second: Tensor, relevance: Tensor) -> tuple[Tensor, Tensor]:
    """Share relevance between the factors of a matrix product: half to each, by their parts."""
    share = divided(relevance, first @ second)
    return first * (share @ second.transpose(-1, -2)) / 2, second * (first.transpose(-1, -2) @ share) / 2


def _linear(entering: Tensor, weight: Tensor, relevance: Tensor) -> Tensor:
    """Pass relevance back through a linear layer, "… out" to "… in", by the z⁺ rule."""
    above, below = entering.clamp(min=0), entering.clamp(max=0)
    up, down = weight.clamp(min=0), weight.clamp(max=0)
    share = divided(relevance, above @ up.transpose(-1, -2) + below @ down.transpose(-1, -2))
    return above * (share @ up) + below * (share @ down)
