"""open_clip's own vision transformers that pool by the mean or by an attention, as they are taken apart."""

from __future__ import annotations

from typing import Any, cast

import torch
from open_clip.transformer import LayerScale, ResidualAttentionBlock, VisionTransformer
from torch import nn

from ...store.errors import UnsupportedTower
from .blocks import Block
from .pools import Attending, AttentionPool, NormPool, Pool
from .rows import why_block
from .streams import StreamTower, assemble
from .tower import running


def take(tower: VisionTransformer, name: str) -> StreamTower:
    """Take a tower apart that does not pool its class token; raises `UnsupportedTower` under this name."""
    if reason := _why_not(tower):
        raise UnsupportedTower(name, reason)
    blocks = cast(Any, tower.transformer.resblocks)
    grid = int(tower.grid_size[0]), int(tower.grid_size[1])
    wired = [_block(each) for each in blocks]
    return assemble(
        tower, running(tower, tower.conv1.weight), wired, blocks[0], _pool(tower), grid=grid, prefix=1
    )


def _why_not(tower: VisionTransformer) -> str | None:
    for block in cast(Any, tower.transformer.resblocks):
        if reason := why_block(block):
            return reason
        if type(block) is not ResidualAttentionBlock:
            return f"a block is of class {type(block).__name__}, known only where a class token is pooled"
    if not isinstance(tower.ln_post, nn.LayerNorm):
        return f"its last norm is of class {type(tower.ln_post).__name__}, not LayerNorm"
    if tower.attn_pool is None:
        return None if tower.pool_type in ("avg", "tok") else f"it pools by {tower.pool_type!r}"
    if tower.attn_pool_contrastive is not None:
        return f"it has two pooling attentions ({tower.attn_pool_type})"
    return None if tower.pool_type == "tok" else f"it pools what its attention pools by {tower.pool_type!r}"


def _block(block: Any) -> Block:
    attention = block.attn
    return Block(
        attention=attention,
        heads=attention.num_heads,
        head_dim=attention.head_dim,
        out=attention.out_proj,
        mlp=block.ls_2,
        scale=block.ls_1.gamma if isinstance(block.ls_1, LayerScale) else None,
    )


def _pool(tower: Any) -> Pool:
    width = int(tower.conv1.out_channels)
    if tower.attn_pool is not None:
        pool = tower.attn_pool
        return AttentionPool(
            slice(None), pool.ln_k, _attending(pool), None, tower.ln_post, tower.ln_post, tower.proj, width
        )
    rows = slice(0, 1) if tower.pool_type == "tok" else slice(1, None)
    return NormPool(rows, tower.ln_post, not tower.final_ln_after_pool, tower.proj, tower.ln_post, width)


def _attending(pool: Any) -> Attending:
    attention = pool.attn
    heads = attention.num_heads
    if attention.in_proj_weight is not None:
        maps = attention.in_proj_weight.chunk(3)
    else:
        maps = (attention.q_proj_weight, attention.k_proj_weight, attention.v_proj_weight)
    biases = attention.in_proj_bias.chunk(3)
    with torch.no_grad():
        query = nn.functional.linear(pool.ln_q(pool.query)[0], maps[0], biases[0]).view(heads, -1)
    return Attending(pool, query, maps[1], biases[1], None, maps[2], biases[2], attention.out_proj)
