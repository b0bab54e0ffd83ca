"""One plain forward pass of an open_clip vision transformer, watched by hooks, as factors and scalars.

The tower is open_clip's own `VisionTransformer`, unmodified, pooled by its class token. Only the class
token's query matters to the embedding, so each attention layer is looked at through that one row: with LN1(z)
as Z, alpha = softmax(q0ᵀ W_K Z) (the key bias cancels) and s = W_V (Z alpha) + b_V. Nothing larger than what
the tower itself holds is ever made.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeAlias, cast

import torch
from open_clip.transformer import (
    Attention,
    CustomResidualAttentionBlock,
    ResidualAttentionBlock,
    VisionTransformer,
)
from torch import Tensor, nn
from torch.nn.functional import linear

from ...store.errors import UnsupportedTower
from ...store.sets import TowerShape
from .trace import Array, Trace

Block: TypeAlias = Any  # one of open_clip's two; it carries no types of its own


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
    return next((reason for block in visual.transformer.resblocks if (reason := _why_block(block))), None)


def _why_block(block: Block) -> str | None:
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
    )


@dataclass(slots=True)
class _Pass:
    """What the hooks have seen of the batch that is under way."""

    token_factor: Tensor | None
    class_factor: list[Tensor] | None = None
    factor: list[Tensor] = field(default_factory=list)
    mlp: list[Tensor] = field(default_factory=list)
    mu: Tensor | None = None
    sigma: Tensor | None = None


class Tracer:
    """Watches a vision tower while the `with` block lasts; called with images, it traces them.

    The hooks do nothing outside such a call, and leave with the block, whatever ends it.
    """

    def __init__(self, visual: nn.Module, name: str | None = None) -> None:
        """Take the tower of a model (`model.visual`); raises `UnsupportedTower` under this name."""
        self._visual = refuse_unless_traceable(visual, name)
        self._hooks: ExitStack | None = None
        self._pass: _Pass | None = None
        self.shape = describe(self._visual)
        """The tower's shape."""

    def __enter__(self) -> Self:
        with ExitStack() as hooks:
            for layer, block in enumerate(blocks_of(self._visual)):
                watch = partial(self._on_attention, layer)
                hooks.callback(block.attn.register_forward_pre_hook(watch).remove)
                hooks.callback(block.ls_2.register_forward_hook(self._on_mlp).remove)
            hooks.callback(self._visual.ln_post.register_forward_pre_hook(self._on_ln_post).remove)
            self._hooks = hooks.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._hooks is not None:
            self._hooks.close()
            self._hooks = None

    def __call__(self, images: Tensor, tokens: bool = False, class_token: bool = False) -> Trace:
        """Trace preprocessed images, "image channel y x", in one forward pass of the tower.

        They are taken to the tower's device and precision. `tokens` asks for the factors of all tokens too,
        `class_token` for those of the first. A tower in training mode is in evaluation mode meanwhile. Memory
        grows with the batch alone.
        """
        if self._hooks is None:
            raise RuntimeError("nothing is watched yet: `with Tracer(visual) as tracer: tracer(images)`")
        weight = self._visual.conv1.weight
        with torch.inference_mode(), _evaluating(self._visual):
            room = self._room_for_tokens(len(images), weight.device) if tokens else None
            self._pass = _Pass(room, [] if class_token else None)
            try:
                output = self._visual(images.to(device=weight.device, dtype=weight.dtype))
                return self._finish(self._pass, output[0] if isinstance(output, tuple) else output)
            finally:
                self._pass = None

    def _room_for_tokens(self, images: int, device: torch.device) -> Tensor:
        shape = self.shape
        size = (images, shape.layers, shape.heads, shape.tokens, shape.head_dim)
        return torch.empty(size, dtype=torch.float32, device=device)

    def _on_attention(self, layer: int, attention: nn.Module, args: tuple[Any, ...]) -> None:
        if self._pass is None:
            return
        alpha, factor = _class_row(attention, args[0])
        self._pass.factor.append(factor)
        if self._pass.class_factor is not None:
            self._pass.class_factor.append(alpha[:, :, 0, None] * _class_values(attention, args[0]))
        if self._pass.token_factor is not None:
            values = _values(attention, args[0])
            torch.mul(alpha[..., None], values, out=self._pass.token_factor[:, layer])

    def _on_mlp(self, scaled: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
        if self._pass is not None:
            self._pass.mlp.append(output[:, 0].to(torch.float32, copy=True))

    def _on_ln_post(self, norm: nn.Module, args: tuple[Any, ...]) -> None:
        if self._pass is None:
            return
        stream = cast(Tensor, args[0])
        last = (stream[:, 0] if stream.ndim == 3 else stream).float()
        self._pass.mu = last.mean(dim=-1)
        variance = (last - self._pass.mu[:, None]).square().mean(dim=-1)
        self._pass.sigma = (variance + cast(nn.LayerNorm, norm).eps).sqrt()

    def _finish(self, seen: _Pass, output: Tensor) -> Trace:
        mlp = torch.stack(seen.mlp, dim=1)
        mlp_mean = mlp.mean(dim=-1)
        read = (mlp - mlp_mean[..., None]) * _affine(self._visual.ln_post)
        output = output.float()
        norm = output.norm(dim=-1)
        return Trace(
            factor=_on_host(torch.stack(seen.factor, dim=1)),
            token_factor=None if seen.token_factor is None else _on_host(seen.token_factor),
            class_factor=None if seen.class_factor is None else _on_host(torch.stack(seen.class_factor, 1)),
            mlp=_on_host(read if self._visual.proj is None else read @ self._visual.proj.float()),
            mlp_mean=_on_host(mlp_mean),
            sigma=_on_host(cast(Tensor, seen.sigma)),
            mu=_on_host(cast(Tensor, seen.mu)),
            norm=_on_host(norm),
            embedding=_on_host(output / norm[:, None]),
        )


def _class_row(attention: Any, stream: Tensor) -> tuple[Tensor, Tensor]:
    """Give the class token's attention, "image head token", and what it gathers, "image head head_dim".

    `stream` is the attention's input, "image token width", at any precision; the answers are float32.
    """
    by_head = (attention.num_heads, attention.head_dim)
    query_map, key_map, value_map = attention.in_proj_weight.chunk(3)
    query_bias, key_bias, value_bias = attention.in_proj_bias.chunk(3)
    exact = stream.float()
    if isinstance(getattr(attention, "ln_k", None), nn.LayerNorm):
        query = attention.ln_q(linear(stream[:, 0], query_map, query_bias).view(-1, *by_head))
        keys = attention.ln_k(linear(stream, key_map, key_bias).view(*stream.shape[:2], *by_head))
        scores = torch.einsum("ihd,ithd->iht", query.float(), keys.float())
    else:
        query = linear(exact[:, 0], query_map.float(), query_bias.float()).view(-1, *by_head)
        probe = torch.einsum("ihd,hdw->ihw", query, key_map.float().view(*by_head, -1))
        scores = probe @ exact.transpose(1, 2)
    alpha = torch.softmax(scores * attention.head_dim**-0.5, dim=-1)
    gathered = torch.einsum("ihw,hdw->ihd", alpha @ exact, value_map.float().view(*by_head, -1))
    return alpha, gathered + value_bias.float().view(by_head)


def _values(attention: Any, stream: Tensor) -> Tensor:
    """Give every token's values as the tower itself computes them, "image head token head_dim"."""
    value_map, value_bias = attention.in_proj_weight.chunk(3)[2], attention.in_proj_bias.chunk(3)[2]
    values = linear(stream, value_map, value_bias)
    return values.view(*stream.shape[:2], attention.num_heads, attention.head_dim).transpose(1, 2)


def _class_values(attention: Any, stream: Tensor) -> Tensor:
    """Give the class token's values, "image head head_dim", in float32 as `_class_row` gathers them."""
    value_map, value_bias = attention.in_proj_weight.chunk(3)[2], attention.in_proj_bias.chunk(3)[2]
    values = linear(stream[:, 0].float(), value_map.float(), value_bias.float())
    return values.view(-1, attention.num_heads, attention.head_dim)


def _affine(norm: nn.LayerNorm) -> Tensor | float:
    return norm.weight.float() if norm.elementwise_affine else 1.0


def _on_host(tensor: Tensor) -> Array:
    return cast(Array, tensor.contiguous().cpu().numpy())


@contextmanager
def _evaluating(visual: nn.Module) -> Iterator[None]:
    """Put the modules that are in training mode in evaluation mode, and back."""
    training = [module for module in visual.modules() if module.training]
    try:
        for module in training:
            module.training = False
        yield
    finally:
        for module in training:
            module.training = True
