"""Second-order effects written out literally: each token, each neuron and each later head by itself."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from open_clip.transformer import LayerScale, VisionTransformer

from tests.compute.naive_tower import Exact, attention, enter, exact, hidden_of, mlp_of, norm_of


@dataclass
class Seen:
    """What one image leaves in a tower."""

    streams: list[Exact]  # of each layer what enters it, "token width"
    neurons: list[Exact]  # of each layer "token neuron"
    mlps: list[Exact]  # of each layer "token width"
    alphas: list[Exact]  # of each layer the class token's attention, "head token"
    sigma: float
    norm: float


def watch(visual: VisionTransformer, image: torch.Tensor) -> Seen:
    """Run one image, block by block."""
    stream = enter(visual, exact(image))
    seen = Seen([], [], [], [], 0, 0)
    for block in visual.transformer.resblocks:
        seen.streams.append(stream)
        z = norm_of(block.ln_1, stream)
        seen.alphas.append(_alpha(block.attn, z))
        heads, bias = attention(block, z)
        stream = stream + heads.sum((1, 2)) + bias
        seen.neurons.append(np.stack([hidden_of(block, token) for token in stream]))
        seen.mlps.append(np.stack([mlp_of(block, token) for token in stream]))
        stream = stream + seen.mlps[-1]
    last = stream[0]
    seen.sigma = math.sqrt(last.var() + visual.ln_post.eps)
    seen.norm = float(np.linalg.norm(norm_of(visual.ln_post, last) @ exact(visual.proj)))
    return seen


def _alpha(attention: Any, z: Exact) -> Exact:
    W_q, W_k, _ = np.split(exact(attention.in_proj_weight), 3)
    b_q, b_k, _ = np.split(exact(attention.in_proj_bias), 3)
    alphas = []
    for head in range(attention.num_heads):
        mine = slice(head * attention.head_dim, (head + 1) * attention.head_dim)
        q, k = z[0] @ W_q[mine].T + b_q[mine], z @ W_k[mine].T + b_k[mine]
        if hasattr(attention, "ln_q"):
            q, k = norm_of(attention.ln_q, q), norm_of(attention.ln_k, k)
        weights = np.exp(k @ q / math.sqrt(attention.head_dim))
        alphas.append(weights / weights.sum())
    return np.stack(alphas)


def through(
    visual: VisionTransformer, seen: Seen, later: int, head: int, token: int, written: Exact
) -> Exact:
    """Follow what was written at a token through one later head to the embedding, "joint"."""
    block: Any = visual.transformer.resblocks[later]
    attention = block.attn
    mine = slice(head * attention.head_dim, (head + 1) * attention.head_dim)
    deviation = math.sqrt(seen.streams[later][token].var() + block.ln_1.eps)
    read = exact(block.ln_1.weight) * (written - written.mean()) / deviation
    value = np.split(exact(attention.in_proj_weight), 3)[2][mine] @ read
    if hasattr(attention, "head_scale"):
        value = value * exact(attention.head_scale).ravel()[head]
    out = exact(attention.out_proj.weight)[:, mine] @ (seen.alphas[later][head, token] * value)
    if isinstance(block.ls_1, LayerScale):
        out = out * exact(block.ls_1.gamma)
    centred = (out - out.mean()) / seen.sigma * exact(visual.ln_post.weight)
    joint: Exact = centred @ exact(visual.proj) / seen.norm
    return joint


def effects(visual: VisionTransformer, image: torch.Tensor, layer: int) -> Exact:
    """Give each neuron's second-order effect on one image, "neuron joint"."""
    seen, block = watch(visual, image), visual.transformer.resblocks[layer]
    weight: Exact = exact(block.mlp.c_proj.weight)
    gamma = exact(block.ls_2.gamma) if isinstance(block.ls_2, LayerScale) else np.ones(len(weight))
    found = np.zeros((weight.shape[1], exact(visual.proj).shape[1]))
    for later in range(layer + 1, len(visual.transformer.resblocks)):
        heads, tokens = seen.alphas[later].shape
        for neuron, head, token in np.ndindex(len(found), heads, tokens):
            written = seen.neurons[layer][token, neuron] * gamma * weight[:, neuron]
            found[neuron] += through(visual, seen, later, head, token, written)
    return found
