"""Vision transformers of transformers as they are taken apart: CLIP, SigLIP, ViT, DeiT, DINOv2."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from ...store.errors import UnsupportedTower
from .blocks import Block
from .pools import Attending, AttentionPool, NormPool, Pool
from .streams import StreamTower, assemble


@dataclass(frozen=True, slots=True)
class _Known:
    """Where a class of models keeps the parts of its vision tower."""

    trunk: str
    """The dotted name of what has the blocks and the last norm; empty for the model itself."""
    blocks: str
    norm: str
    projection: str | None = None
    """The name of what is linear behind the norm."""
    head: str | None = None
    """The name of a pooling attention in the trunk."""


_VIT = _Known("", "layers", "layernorm")
_DINO = _Known("", "encoder.layer", "layernorm")
_CLIP = _Known("vision_model", "encoder.layers", "post_layernorm", "visual_projection")
_SIGLIP = _Known("vision_model", "encoder.layers", "post_layernorm", head="head")
KNOWN = {
    "CLIPModel": _CLIP,
    "CLIPVisionModelWithProjection": _CLIP,
    "SiglipModel": _SIGLIP,
    "SiglipVisionModel": _Known("", "encoder.layers", "post_layernorm", head="head"),
    "ViTModel": _VIT,
    "ViTForImageClassification": _Known("vit", "layers", "layernorm", "classifier"),
    "DeiTModel": _VIT,
    "DeiTForImageClassification": _Known("deit", "layers", "layernorm", "classifier"),
    "Dinov2Model": _DINO,
    "Dinov2WithRegistersModel": _DINO,
}
"""What is known, by the class of the model."""
LAYERS = (
    "CLIPEncoderLayer",
    "SiglipEncoderLayer",
    "ViTLayer",
    "DeiTLayer",
    "Dinov2Layer",
    "Dinov2WithRegistersLayer",
)


def take(net: nn.Module, name: str) -> StreamTower:
    """Take the vision tower of a model apart; raises `UnsupportedTower` under this name, with the reason.

    What comes out is the image's embedding where the model has one, the logits of a classifier, or the class
    token behind the last norm, without the nonlinear pooler of some.
    """
    known = KNOWN.get(type(net).__name__)
    if known is None:
        raise UnsupportedTower(name, f"it is transformers' {type(net).__name__}, whose parts are not known")
    trunk: Any = net.get_submodule(known.trunk)
    layers = list(trunk.get_submodule(known.blocks))
    if strange := next((each for each in layers if type(each).__name__ not in LAYERS), None):
        raise UnsupportedTower(name, f"a block is of class {type(strange).__name__}, which is not known")
    projection = None if known.projection is None else net.get_submodule(known.projection)
    projection = projection if isinstance(projection, nn.Linear) else None
    weight = next(net.parameters())

    def run(images: Tensor) -> Tensor:
        output = trunk(pixel_values=images.to(device=weight.device, dtype=weight.dtype))
        if known.head is not None:
            return cast(Tensor, output.pooler_output)
        first = output.pooler_output if known is _CLIP else output.last_hidden_state[:, 0]
        return cast(Tensor, first if projection is None else projection(first))

    prefix = _prefix(trunk, known)
    size, patch = (_side(getattr(trunk.config, each)) for each in ("image_size", "patch_size"))
    grid = size[0] // patch[0], size[1] // patch[1]
    wired = [_block(each) for each in layers]
    pool = _pool(trunk, known, projection)
    return assemble(net, run, wired, layers[0], pool, grid=grid, prefix=prefix)


def _pool(trunk: Any, known: _Known, projection: nn.Linear | None) -> Pool:
    norm = trunk.get_submodule(known.norm)
    width = int(norm.normalized_shape[0])
    if known.head is None:
        # CLIP pools, and then norms; the others norm all tokens: with one row it is the same.
        return NormPool(slice(0, 1), norm, known is not _CLIP, projection, norm, width)
    head = trunk.get_submodule(known.head)
    return AttentionPool(slice(None), norm, _attending(head), head.mlp, None, None, None, width)


def _block(layer: Any) -> Block:
    attention = getattr(layer, "self_attn", None) or layer.attention
    out = getattr(attention, "out_proj", None) or attention.o_proj
    heads = int(getattr(attention, "num_heads", None) or attention.num_attention_heads)
    scale = getattr(layer, "layer_scale1", None)
    return Block(
        attention=attention,
        heads=heads,
        head_dim=out.in_features // heads,
        out=out,
        mlp=getattr(layer, "layer_scale2", None) or layer.mlp,
        scale=None if scale is None else scale.lambda1,
    )


def _attending(head: Any) -> Attending:
    attention = head.attention
    maps, biases = attention.in_proj_weight.chunk(3), attention.in_proj_bias.chunk(3)
    with torch.no_grad():
        query = nn.functional.linear(head.probe[0, 0], maps[0], biases[0]).view(attention.num_heads, -1)
    return Attending(head, query, maps[1], biases[1], None, maps[2], biases[2], attention.out_proj)


def _prefix(trunk: Any, known: _Known) -> int:
    """Give the number of tokens before the patches': class, distillation, registers."""
    if known.head is not None:
        return 0
    extra = getattr(trunk.config, "num_register_tokens", 0) or 0
    return 1 + int(extra) + int(hasattr(trunk.embeddings, "distillation_token"))


def _side(value: int | Sequence[int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (int(value[0]), int(value[1]))
