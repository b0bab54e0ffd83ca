"""A tower's fixed maps from heads and biases to the joint space, computed from its weights in float64."""

from __future__ import annotations

from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from open_clip.transformer import LayerScale, VisionTransformer
from torch import Tensor, nn

from .native import Block, blocks_of, describe, refuse_unless_traceable
from .trace import Array, Constants

Exact = npt.NDArray[np.float64]


def constants(visual: nn.Module) -> Constants:
    """Compute the fixed maps of a tower (`model.visual`); raises `UnsupportedTower`.

    With R = Pᵀ diag(g), C taking the mean away and LayerScale folded into W_O and b_O, the maps are R C W_O
    and R C b_O; the means beside them give R W_O = R C W_O + (R 1) (1ᵀ W_O / d) back.
    """
    visual = refuse_unless_traceable(visual, None)
    shape = describe(visual)
    read, bias = _read_out(visual)
    centred = read - read.mean(axis=1, keepdims=True)
    entry = _entry(visual)
    # Kept with joint innermost, so that a layer's heads are one matrix for the product with its factors.
    head_map = np.empty((shape.layers, shape.heads, shape.head_dim, shape.joint), np.float32)
    head_mean = np.empty(head_map.shape[:-1], np.float32)
    attn_bias = np.empty((shape.layers, shape.joint), np.float32)
    attn_bias_mean = np.empty(shape.layers, np.float32)
    for layer, block in enumerate(blocks_of(visual)):
        weight, out_bias = _written(block)
        head_map[layer] = (weight.T @ centred.T).reshape(head_map.shape[1:])
        head_mean[layer] = weight.mean(axis=0).reshape(head_mean.shape[1:])
        attn_bias[layer] = centred @ out_bias
        attn_bias_mean[layer] = out_bias.mean()
    return Constants(
        shape=shape,
        head_map=head_map.swapaxes(-1, -2),
        head_mean=head_mean,
        attn_bias=attn_bias,
        attn_bias_mean=attn_bias_mean,
        embedding=_narrow(centred @ entry),
        embedding_mean=float(entry.mean()),
        gain=_narrow(read.sum(axis=1)),
        bias=_narrow(bias),
    )


def _read_out(visual: VisionTransformer) -> tuple[Exact, Exact]:
    """Give Pᵀ diag(g), "joint width", and Pᵀ b, "joint"."""
    weight, bias = _affine(visual.ln_post)
    if visual.proj is None:
        return np.diag(weight), bias
    projection = _exact(visual.proj)
    return projection.T * weight, projection.T @ bias


def _written(block: Block) -> tuple[Exact, Exact]:
    """Give what an attention layer writes to the stream: W_O, "width width", and b_O, "width"."""
    attention = block.attn
    weight, bias = _exact(attention.out_proj.weight), _exact(attention.out_proj.bias)
    if getattr(attention, "head_scale", None) is not None:
        weight *= np.repeat(_exact(attention.head_scale).reshape(-1), attention.head_dim)
    if isinstance(block.ls_1, LayerScale):
        gamma = _exact(block.ls_1.gamma)
        weight, bias = weight * gamma[:, None], bias * gamma
    return weight, bias


def _entry(visual: VisionTransformer) -> Exact:
    """Give z0, "width": the class token as it enters the first block, the same for every image."""
    token: Exact = _exact(visual.class_embedding) + _exact(visual.positional_embedding)[0]
    if not isinstance(visual.ln_pre, nn.LayerNorm):
        return token
    weight, bias = _affine(visual.ln_pre)
    deviation = token - token.mean()
    entry: Exact = deviation / np.sqrt(np.square(deviation).mean() + visual.ln_pre.eps) * weight + bias
    return entry


def _affine(norm: nn.LayerNorm) -> tuple[Exact, Exact]:
    """Give a norm's weight and bias, where it has none 1 and 0."""
    weight, bias = (cast(Tensor | None, value) for value in (norm.weight, norm.bias))
    width = norm.normalized_shape[0]
    return (
        np.ones(width) if weight is None else _exact(weight),
        np.zeros(width) if bias is None else _exact(bias),
    )


def _exact(tensor: Tensor) -> Exact:
    values: Exact = tensor.detach().cpu().to(torch.float64, copy=True).numpy()
    return values


def _narrow(values: Exact) -> Array:
    return values.astype(np.float32)
