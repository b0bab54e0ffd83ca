"""A transformer as it is taken apart, whatever goes through it: its blocks, what it pools, and its end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from open_clip.transformer import Attention, CustomResidualAttentionBlock, ResidualAttentionBlock
from torch import Tensor, nn

from ...store.sets import TowerShape

Block: TypeAlias = Any  # one of open_clip's two; it carries no types of its own


@dataclass(frozen=True, slots=True, eq=False)
class Tower:
    """A tower of open_clip's blocks that ends in a LayerNorm and a projection of one row: the pooled one."""

    module: nn.Module
    """The module that is run, in evaluation mode."""
    shape: TowerShape
    """Its sizes."""
    blocks: Sequence[Block]
    """Its residual blocks, first to last."""
    last_norm: nn.LayerNorm
    """The norm after the last block: ln_post, ln_final."""
    projection: Tensor | nn.Linear | None
    """What takes the pooled row to the joint space; None where that is the stream itself."""
    run: Callable[[Tensor], Tensor]
    """Runs a batch on the tower's device, and gives its outputs, "input joint", not normalised."""
    rows: Callable[[Tensor], Tensor | None]
    """Gives the position of the pooled row for each input of a batch, "input"; None where it is the first."""
    token: tuple[Tensor, ...]
    """What the pooled row is the sum of before the first norm; nothing where it differs by input."""
    first_norm: nn.LayerNorm | None
    """The norm before the first block, where there is one."""


def why_block(block: Block) -> str | None:
    """Say why a residual block is not decomposed; None where it is."""
    if type(block) not in (ResidualAttentionBlock, CustomResidualAttentionBlock):
        return f"a block is of class {type(block).__name__}, not one of open_clip's own"
    attention = block.attn
    if type(attention) not in (nn.MultiheadAttention, Attention):
        return f"a block's attention is of class {type(attention).__name__}, not torch's or open_clip's own"
    if not getattr(attention, "batch_first", True):
        return "its attention takes tokens before images (batch_first=False)"
    if getattr(attention, "scaled_cosine", False):
        return "its attention compares by cosine (scaled_cosine_attn), which open_clip cannot run"
    if not isinstance(getattr(attention, "ln_inner", nn.Identity()), nn.Identity):
        return "a LayerNorm over all heads (scale_attn_inner) stands before their output projection"
    if not isinstance(getattr(block, "ln_attn", nn.Identity()), nn.Identity):
        return "a LayerNorm (scale_attn) stands between the heads and the residual stream"
    return None
