"""What the later heads of a vision tower make of an MLP's neurons: fixed maps, computed in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
from open_clip.transformer import LayerScale
from torch import nn

from ...store.errors import UnsupportedTower
from .constants import Exact, affine, exact
from .native import vision
from .trace import Array


def value_maps(visual: nn.Module, layer: int) -> Array:
    """Give W_V^h diag(g1) C w_n of each later head for each neuron, "later head neuron head_dim".

    w_n is what neuron n of the layer's MLP writes to the stream where it gives 1, its LayerScale included;
    g1 is the weight of the LayerNorm before the head, C takes the mean away. Raises `UnsupportedTower`.
    """
    tower = vision(visual)
    blocks, shape = tower.blocks, tower.shape
    written = _written(blocks[layer])
    centred = written - written.mean(axis=0)
    maps = np.empty((shape.layers - 1 - layer, shape.heads, written.shape[1], shape.head_dim), np.float32)
    for later, block in enumerate(blocks[layer + 1 :]):
        if not isinstance(block.ln_1, nn.LayerNorm):
            raise UnsupportedTower(
                type(visual).__name__, f"a block's first norm is of class {type(block.ln_1).__name__}"
            )
        gain, _ = affine(block.ln_1)
        values = np.split(exact(block.attn.in_proj_weight), 3)[2]
        found = (values * gain) @ centred
        maps[later] = found.reshape(shape.heads, shape.head_dim, -1).transpose(0, 2, 1)
    return maps


def _written(block: Any) -> Exact:
    """Give w_n of all neurons of a block, "width neuron"."""
    last = block.mlp.c_proj
    if not isinstance(last, nn.Linear):
        raise UnsupportedTower(type(block).__name__, f"an MLP ends in {type(last).__name__}, not in Linear")
    weight = exact(last.weight)
    return weight * exact(block.ls_2.gamma)[:, None] if isinstance(block.ls_2, LayerScale) else weight
