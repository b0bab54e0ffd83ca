"""The text towers of open_clip as they are taken apart: those of `CLIP`, `CustomTextCLIP` and `CoCa`."""

from __future__ import annotations

from typing import Any, cast

import torch
from open_clip.model import CLIP
from open_clip.transformer import TextTransformer
from torch import Tensor, nn

from ...store.errors import UnsupportedTower
from ...store.sets import TowerShape
from .rows import RowTower, why_block


def text(net: nn.Module, name: str | None = None) -> RowTower:
    """Take the text tower of a model to be taken apart; raises `UnsupportedTower` under this name.

    `net` is the whole model: `CLIP` has the parts of its text tower itself, others have it as `text`. The
    pooled row is the one that the tower pools: of the last token as a rule, which has the largest number.
    """
    tower: Any = net if isinstance(net, CLIP) else getattr(net, "text", net)
    if reason := _why_tower(tower):
        raise UnsupportedTower(name or type(net).__name__, reason, side="text")

    def run(tokens: Tensor) -> Tensor:
        output = tower.encode_text(tokens) if isinstance(tower, CLIP) else tower(tokens)
        return cast(Tensor, output[0] if isinstance(output, tuple) else output)

    def rows(tokens: Tensor) -> Tensor | None:
        return pooled(tokens, _pooling(tower), _end(tower))

    return RowTower(
        module=tower,
        shape=describe(tower),
        blocks=list(tower.transformer.resblocks),
        last_norm=tower.ln_final,
        projection=tower.text_projection,
        run=run,
        rows=rows,
        token=(),
        first_norm=None,
    )


def describe(tower: Any) -> TowerShape:
    """Read a text tower's shape from its modules."""
    attention = tower.transformer.resblocks[0].attn
    tokens, width = tower.positional_embedding.shape
    projection = tower.text_projection
    joint = width
    if projection is not None:
        joint = projection.out_features if isinstance(projection, nn.Linear) else projection.shape[1]
    return TowerShape(
        layers=len(tower.transformer.resblocks),
        heads=attention.num_heads,
        head_dim=attention.head_dim,
        width=int(width),
        joint=int(joint),
        tokens=int(tokens),
        varying=("embedding",),
    )


def pooled(tokens: Tensor, pooling: str, end: int | None) -> Tensor | None:
    """Give the position of the row that stands for each text, "text"; None where it is the first.

    `pooling` is open_clip's `pool_type`, or `appended` for a class token after all others.
    """
    count, length = tokens.shape
    if pooling == "first":
        return None
    if pooling == "argmax":
        return tokens.argmax(dim=-1)
    if pooling == "eos":
        return torch.eq(tokens, -1 if end is None else end).int().argmax(dim=-1)
    last = length if pooling == "appended" else length - 1
    return torch.full((count,), last, device=tokens.device)


def _why_tower(tower: Any) -> str | None:
    if not isinstance(tower, CLIP | TextTransformer):
        return f"its class is {type(tower).__name__}, not open_clip's TextTransformer"
    if not isinstance(tower.ln_final, nn.LayerNorm):
        return f"its last norm is of class {type(tower.ln_final).__name__}, not LayerNorm"
    if not isinstance(tower.text_projection, nn.Parameter | nn.Linear | None):
        return f"its projection is of class {type(tower.text_projection).__name__}, which is not linear"
    if (pool := _pooling(tower)) not in ("first", "last", "argmax", "eos", "appended"):
        return f"it pools no one token (pool_type={pool!r})"
    return next((reason for block in tower.transformer.resblocks if (reason := why_block(block))), None)


def _pooling(tower: Any) -> str:
    if getattr(tower, "cls_emb", None) is not None:
        return "appended"
    return str(tower.text_pool_type if isinstance(tower, CLIP) else tower.pool_type)


def _end(tower: Any) -> int | None:
    """Give the number of the token that ends a text."""
    end: int | None = getattr(tower, "text_eos_id" if isinstance(tower, CLIP) else "eos_id", None)
    return end
