"""A tower's fixed maps from heads and biases to the joint space, computed from its weights in float64."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, TypedDict, cast

import numpy as np
import numpy.typing as npt
import torch
from open_clip.transformer import LayerScale
from torch import Tensor, nn

from ...store.sets import TowerShape
from .trace import Array, Constants

if TYPE_CHECKING:
    from .rows import Block, RowTower

Exact = npt.NDArray[np.float64]


def of_rows(tower: RowTower) -> Constants:
    """Compute the fixed maps of a tower whose embedding is one row.

    With R = Pᵀ diag(g), C taking the mean away and LayerScale folded into W_O and b_O, the maps are R C W_O
    and R C b_O; the means beside them give R W_O = R C W_O + (R 1) (1ᵀ W_O / d) back.
    """
    shape = tower.shape
    read, bias, projection_bias = read_out(tower.last_norm, tower.projection, shape.width)
    entry = _entry(tower)
    maps = of_blocks(shape, read, (_written(block) for block in tower.blocks))
    centred = read - read.mean(axis=1, keepdims=True)
    return Constants(
        shape=shape,
        **maps,
        embedding=narrow(centred @ entry),
        embedding_mean=float(entry.mean()),
        gain=narrow(read.sum(axis=1)),
        bias=narrow(bias),
        projection_bias=None if projection_bias is None else narrow(projection_bias),
    )


class BlockMaps(TypedDict):
    """The fixed maps of blocks, by the names that `Constants` has for them."""

    head_map: Array
    head_mean: Array
    attn_bias: Array
    attn_bias_mean: Array


def of_blocks(shape: TowerShape, read: Exact, written: Iterable[tuple[Exact, Exact]]) -> BlockMaps:
    """Compute the maps of blocks that write W_O, "width head_width", and b_O, "width", each.

    `read` is R, "joint width".
    """
    centred = read - read.mean(axis=1, keepdims=True)
    # Kept with joint innermost, so that a layer's heads are one matrix for the product with its factors.
    head_map = np.empty((shape.layers, shape.heads, shape.head_dim, shape.joint), np.float32)
    head_mean = np.empty(head_map.shape[:-1], np.float32)
    attn_bias = np.empty((shape.layers, shape.joint), np.float32)
    attn_bias_mean = np.empty(shape.layers, np.float32)
    for layer, (weight, out_bias) in enumerate(written):
        head_map[layer] = (weight.T @ centred.T).reshape(head_map.shape[1:])
        head_mean[layer] = weight.mean(axis=0).reshape(head_mean.shape[1:])
        attn_bias[layer] = centred @ out_bias
        attn_bias_mean[layer] = out_bias.mean()
    return BlockMaps(
        head_map=head_map.swapaxes(-1, -2),
        head_mean=head_mean,
        attn_bias=attn_bias,
        attn_bias_mean=attn_bias_mean,
    )


def read_out(
    norm: nn.LayerNorm | None, projection: Tensor | nn.Linear | None, width: int
) -> tuple[Exact, Exact, Exact | None]:
    """Give how a tower's end reads the stream, whose width this is; of a norm or a projection, or of neither.

    R = Pᵀ diag(g), "joint width"; Pᵀ b with the projection's own bias, and that one, "joint".
    """
    weight, bias = (np.ones(width), np.zeros(width)) if norm is None else affine(norm)
    if projection is None:
        return np.diag(weight), bias, None
    if not isinstance(projection, nn.Linear):
        matrix = exact(projection)
        return matrix.T * weight, matrix.T @ bias, None
    matrix, own = exact(projection.weight), cast("Tensor | None", projection.bias)
    if own is None:
        return matrix * weight, matrix @ bias, None
    return matrix * weight, matrix @ bias + exact(own), exact(own)


def _written(block: Block) -> tuple[Exact, Exact]:
    """Give what an attention layer writes to the stream: W_O, "width width", and b_O, "width"."""
    attention = block.attn
    weight, bias = exact(attention.out_proj.weight), exact(attention.out_proj.bias)
    if getattr(attention, "head_scale", None) is not None:
        weight *= np.repeat(exact(attention.head_scale).reshape(-1), attention.head_dim)
    if isinstance(block.ls_1, LayerScale):
        gamma = exact(block.ls_1.gamma)
        weight, bias = weight * gamma[:, None], bias * gamma
    return weight, bias


def _entry(tower: RowTower) -> Exact:
    """Give z0, "width": the pooled row as it enters the first block; zero where that differs by input."""
    token: Exact = np.zeros(tower.shape.width)
    for part in tower.token:
        token += exact(part)
    if tower.first_norm is None or not tower.token:
        return token
    weight, bias = affine(tower.first_norm)
    deviation = token - token.mean()
    entry: Exact = deviation / np.sqrt(np.square(deviation).mean() + tower.first_norm.eps) * weight + bias
    return entry


def affine(norm: nn.LayerNorm) -> tuple[Exact, Exact]:
    """Give a norm's weight and bias, where it has none 1 and 0."""
    weight, bias = (cast(Tensor | None, value) for value in (norm.weight, norm.bias))
    width = norm.normalized_shape[0]
    return (
        np.ones(width) if weight is None else exact(weight),
        np.zeros(width) if bias is None else exact(bias),
    )


def exact(tensor: Tensor) -> Exact:
    """Give a tensor's values in float64 on the host."""
    values: Exact = tensor.detach().cpu().to(torch.float64, copy=True).numpy()
    return values


def narrow(values: Exact) -> Array:
    """Bring values to float32."""
    return values.astype(np.float32)
