"""open_clip's own vision transformers as they are taken apart, where their class token is pooled."""

from __future__ import annotations

from typing import cast

from open_clip.transformer import VisionTransformer
from torch import nn

from ...store.errors import UnsupportedTower
from ...store.sets import TowerShape
from .rows import Block, RowTower, why_block
from .tower import running


def blocks_of(visual: VisionTransformer) -> list[Block]:
    """List the tower's residual blocks, first to last."""
    return list(visual.transformer.resblocks)


def refuse_unless_traceable(visual: nn.Module, name: str | None) -> VisionTransformer:
    """Give the vision tower back; raise `UnsupportedTower`, with the reason, unless it is decomposed exactly.

    What `support` says of a configuration is said here of the modules that were built. `name` is what the
    error calls the tower: its class, where there is none.
    """
    if reason := _why_tower(visual):
        raise UnsupportedTower(name or type(visual).__name__, reason)
    return cast(VisionTransformer, visual)


def _why_tower(visual: nn.Module) -> str | None:
    if not isinstance(visual, VisionTransformer):
        return f"its class is {type(visual).__name__}, not open_clip's VisionTransformer"
    if visual.attn_pool is not None:
        return "it pools by attention (attentional_pool), not by its class token"
    if visual.pool_type != "tok":
        return f"it pools its patch tokens (pool_type={visual.pool_type!r}), not its class token"
    if not isinstance(visual.ln_post, nn.LayerNorm):
        return f"its last norm is of class {type(visual.ln_post).__name__}, not LayerNorm"
    return next((reason for block in visual.transformer.resblocks if (reason := why_block(block))), None)


def describe(visual: VisionTransformer) -> TowerShape:
    """Read a tower's shape from its modules."""
    attention = blocks_of(visual)[0].attn
    width = int(visual.conv1.out_channels)
    return TowerShape(
        layers=len(visual.transformer.resblocks),
        heads=attention.num_heads,
        head_dim=attention.head_dim,
        width=width,
        joint=width if visual.proj is None else int(visual.proj.shape[1]),
        tokens=int(visual.positional_embedding.shape[0]),
        grid=(int(visual.grid_size[0]), int(visual.grid_size[1])),
    )


def vision(visual: nn.Module, name: str | None = None) -> RowTower:
    """Take a vision tower (`model.visual`) to be taken apart; raises `UnsupportedTower` under this name."""
    tower = refuse_unless_traceable(visual, name)
    return RowTower(
        module=tower,
        shape=describe(tower),
        blocks=blocks_of(tower),
        last_norm=cast(nn.LayerNorm, tower.ln_post),
        projection=tower.proj,
        run=running(tower, tower.conv1.weight),
        rows=lambda images: None,
        token=(tower.class_embedding, tower.positional_embedding[0]),
        first_norm=tower.ln_pre if isinstance(tower.ln_pre, nn.LayerNorm) else None,
    )
