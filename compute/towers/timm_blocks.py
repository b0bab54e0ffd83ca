"""timm's vision transformers as they are taken apart: ViT, EVA02, Perception Encoder, relative positions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from timm.layers.attention import Attention, AttentionRope
from timm.layers.attention_pool import AttentionPoolLatent
from timm.models.eva import Eva, EvaAttention, EvaBlock, EvaBlockPostNorm
from timm.models.vision_transformer import Block as VitBlock
from timm.models.vision_transformer import VisionTransformer
from timm.models.vision_transformer_relpos import RelPosAttention, RelPosBlock, VisionTransformerRelPos
from torch import Tensor, nn

from ...store.errors import UnsupportedTower
from .blocks import Block
from .pools import Attending, AttentionPool, NormPool, Pool
from .streams import StreamTower, assemble

TRUNKS = (VisionTransformer, Eva, VisionTransformerRelPos)
"""The classes whose blocks are known; hybrids such as ViTamin are the first with other patches."""
BLOCKS = (VitBlock, EvaBlock, EvaBlockPostNorm, RelPosBlock)
ATTENTIONS = (Attention, EvaAttention, AttentionRope, RelPosAttention)


def take(
    trunk: nn.Module,
    name: str,
    projection: nn.Linear | None,
    module: nn.Module,
    run: Callable[[Tensor], Tensor],
) -> StreamTower:
    """Take a trunk of timm's apart, whose head or this projection ends it.

    `module` is what is run by `run`. Raises `UnsupportedTower` under this name, with the reason.
    """
    if reason := why_not(trunk):
        raise UnsupportedTower(name, reason)
    transformer = cast(Any, trunk)
    prefix = int(transformer.num_prefix_tokens)
    return assemble(
        module,
        run,
        [_block(each) for each in transformer.blocks],
        transformer.blocks[0],
        _pool(transformer, projection),
        grid=_grid(transformer),
        prefix=prefix,
    )


def why_not(trunk: nn.Module) -> str | None:
    """Say why a trunk is not taken apart; None where it is."""
    if type(trunk) not in TRUNKS:
        return f"it is timm's {type(trunk).__name__}, whose parts are not known"
    transformer: Any = trunk
    every: Any = transformer.blocks
    for block in every:
        if type(block) not in BLOCKS:
            return f"a block is of timm's class {type(block).__name__}, whose parts are not known"
        if type(block.attn) not in ATTENTIONS:
            return f"a block's attention is of timm's class {type(block.attn).__name__}, which is not known"
        if getattr(block.attn, "gate", None) is not None:
            return "its attention gates what the heads gather, so that a head is not linear in its values"
        inner = getattr(block.attn, "norm", nn.Identity())
        outer = block.norm1 if type(block) is EvaBlockPostNorm else nn.Identity()
        for norm in (inner, outer):
            if not isinstance(norm, nn.Identity | nn.LayerNorm):
                return f"a norm on the heads' way is of class {type(norm).__name__}, not LayerNorm"
    return _why_no_pool(transformer)


def _why_no_pool(trunk: Any) -> str | None:
    norms: list[Any] = [each for each in (trunk.norm, trunk.fc_norm) if not isinstance(each, nn.Identity)]
    pool = getattr(trunk, "attn_pool", None)
    if len(norms) != 1 or not isinstance(norms[0], nn.LayerNorm):
        listed = " and ".join(type(each).__name__ for each in norms) or "none"
        return f"its last norms are {listed}, not one LayerNorm"
    if pool is None:
        kind = trunk.global_pool
        known = kind in ("token", "avg")
        return None if known else f"it pools by {kind!r}, not a token, their mean or an attention"
    if type(pool) is not AttentionPoolLatent:
        return f"it pools by timm's {type(pool).__name__}, which is not known"
    if norms[0] is not trunk.norm:
        return "the norm stands behind its pooling attention, which no known tower of timm's has"
    latent: Any = pool
    if latent.latent_len != 1 or latent.pos_embed is not None or not isinstance(latent.proj, nn.Linear):
        return "its pooling attention has several queries, positions of its own or no projection"
    return None


def _block(block: Any) -> Block:
    attention = block.attn
    inner = getattr(attention, "norm", None)
    scale = getattr(block, "gamma_1", None)
    layer_scale = getattr(block, "ls1", None)
    if layer_scale is not None and not isinstance(layer_scale, nn.Identity):
        scale = layer_scale.gamma
    return Block(
        attention=attention,
        heads=int(attention.num_heads),
        head_dim=attention.proj.in_features // int(attention.num_heads),
        out=attention.proj,
        mlp=block.drop_path2,
        inner_norm=inner if isinstance(inner, nn.LayerNorm) else None,
        scale=scale,
        norm=block.norm1 if type(block) is EvaBlockPostNorm else None,
    )


def _pool(trunk: Any, projection: nn.Linear | None) -> Pool:
    ends = projection if projection is not None else trunk.head
    ends = ends if isinstance(ends, nn.Linear) else None
    width = int(trunk.embed_dim)
    prefix = int(trunk.num_prefix_tokens)
    pool = getattr(trunk, "attn_pool", None)
    if pool is not None:
        start = 0 if getattr(trunk, "pool_include_prefix", True) else prefix
        return AttentionPool(
            slice(start, None), trunk.norm, _attending(pool), pool.mlp, None, None, ends, width
        )
    first = not isinstance(trunk.norm, nn.Identity)
    norm = trunk.norm if first else trunk.fc_norm
    start = 0 if getattr(trunk, "pool_include_prefix", False) else prefix
    rows = slice(0, 1) if trunk.global_pool == "token" else slice(start, None)
    return NormPool(rows, norm, first, ends, norm, width)


def _attending(pool: Any) -> Attending:
    with torch.no_grad():
        query = pool.q_norm(pool.q(pool.latent)[0, 0].view(pool.num_heads, pool.head_dim))
    keys, values = pool.kv.weight.chunk(2)
    key_bias, value_bias = (None, None) if pool.kv.bias is None else pool.kv.bias.chunk(2)
    norm = None if isinstance(pool.k_norm, nn.Identity) else pool.k_norm
    return Attending(pool, query, keys, key_bias, norm, values, value_bias, pool.proj)


def _grid(trunk: Any) -> tuple[int, int]:
    """Give the rows and columns of patches of a picture of the size that the trunk is made for."""
    rows, columns = trunk.patch_embed.grid_size
    return int(rows), int(columns)
