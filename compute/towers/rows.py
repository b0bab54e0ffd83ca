"""One plain forward pass of an open_clip transformer, watched by hooks, as factors and scalars.

The tower is open_clip's own, unmodified: a `VisionTransformer` pooled by its class token, or a text tower
(`towers.text`). Only the pooled row's query matters to the embedding, so each attention layer is looked at
through that one row: with LN1(z) as Z, alpha = softmax(q0ᵀ W_K Z + mask) (the key bias cancels) and
s = W_V (Z alpha) + b_V. Nothing larger than what the tower itself holds is ever made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias, cast

import torch
from open_clip.transformer import (
    Attention,
    CustomResidualAttentionBlock,
    LayerScale,
    ResidualAttentionBlock,
)
from torch import Tensor, nn
from torch.nn.functional import linear
from torch.utils.hooks import RemovableHandle

from ...store.sets import TowerShape
from . import constants
from .tower import Tower, Tracing
from .trace import Array, Constants, Trace

Block: TypeAlias = Any  # one of open_clip's two; it carries no types of its own


@dataclass(frozen=True, eq=False)
class RowTower(Tower):
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

    def watch(self, neurons: Sequence[int] = ()) -> Tracer:
        """Make what watches the tower while a `with` block lasts."""
        return Tracer(self, neurons)

    def constants(self) -> Constants:
        """Compute the tower's fixed maps."""
        return constants.of_rows(self)


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


@dataclass(slots=True)
class _Pass:
    """What the hooks have seen of the batch that is under way."""

    rows: Tensor | None
    token_factor: Tensor | None
    patches: Tensor | None
    class_factor: list[Tensor] | None = None
    active: dict[int, Tensor] = field(default_factory=dict)
    spread: Tensor | None = None
    neuron_factor: dict[int, list[Tensor]] = field(default_factory=dict)
    entry: Tensor | None = None
    factor: list[Tensor] = field(default_factory=list)
    mlp: list[Tensor] = field(default_factory=list)
    mu: Tensor | None = None
    sigma: Tensor | None = None


class Tracer(Tracing):
    """Watches a tower of which one row is pooled."""

    def __init__(self, tower: RowTower, neurons: Sequence[int] = ()) -> None:
        """Take a tower; what later heads read of the neurons of these layers' MLPs is traced, too."""
        super().__init__(tower)
        self._tower = tower
        self._neurons = tuple(neurons)
        self._pass: _Pass | None = None

    def _watch(self) -> Iterator[RemovableHandle]:
        for layer, block in enumerate(self._tower.blocks):
            watch = partial(self._on_attention, layer)
            yield block.attn.register_forward_pre_hook(watch, with_kwargs=True)
            yield block.ls_2.register_forward_hook(self._on_mlp)
            if layer in self._neurons:
                yield block.mlp.c_proj.register_forward_pre_hook(partial(self._on_neurons, layer))
            if any(each < layer for each in self._neurons):
                yield block.ln_1.register_forward_pre_hook(self._on_first_norm)
        if not self._tower.token:
            yield self._tower.blocks[0].register_forward_pre_hook(self._on_entry)
        yield self._tower.last_norm.register_forward_pre_hook(self._on_last_norm)

    def _traced(self, inputs: Tensor, tokens: bool, patches: bool, class_token: bool) -> Trace:
        room = self._room_for_tokens(len(inputs), inputs.device) if tokens else None
        size = (len(inputs), self.shape.tokens - 1, self.shape.width)
        sums = torch.zeros(size, device=inputs.device) if patches else None
        self._pass = _Pass(self._tower.rows(inputs), room, sums, [] if class_token else None)
        try:
            return self._finish(self._pass, self._tower.run(inputs))
        finally:
            self._pass = None

    def _room_for_tokens(self, inputs: int, device: torch.device) -> Tensor:
        shape = self.shape
        size = (inputs, shape.layers, shape.heads, shape.tokens, shape.head_dim)
        return torch.empty(size, dtype=torch.float32, device=device)

    def _on_attention(
        self, layer: int, attention: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        if self._pass is None:
            return
        alpha, factor = _pooled_row(attention, args[0], self._pass.rows, kwargs.get("attn_mask"))
        self._pass.factor.append(factor)
        for each, active in self._pass.active.items():
            weights = alpha / cast(Tensor, self._pass.spread)[:, None]
            self._pass.neuron_factor[each].append(weights @ active.float())
        if self._pass.class_factor is not None:
            self._pass.class_factor.append(alpha[:, :, 0, None] * _class_values(attention, args[0]))
        if self._pass.token_factor is None and self._pass.patches is None:
            return
        values = _values(attention, args[0])
        if self._pass.token_factor is not None:
            gathered = torch.mul(alpha[..., None], values, out=self._pass.token_factor[:, layer])
        else:
            gathered = alpha[..., None] * values
        if self._pass.patches is not None:
            by_patch = gathered[:, :, 1:].transpose(1, 2).flatten(2)
            self._pass.patches += by_patch @ _written(self._tower.blocks[layer]).T

    def _on_mlp(self, scaled: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
        if self._pass is not None:
            self._pass.mlp.append(_taken(output, self._pass.rows).to(torch.float32, copy=True))

    def _on_neurons(self, layer: int, last: nn.Module, args: tuple[Any, ...]) -> None:
        if self._pass is not None:
            self._pass.active[layer], self._pass.neuron_factor[layer] = args[0], []

    def _on_first_norm(self, norm: nn.Module, args: tuple[Any, ...]) -> None:
        if self._pass is not None:
            self._pass.spread = spread(args[0].float(), norm)[1]

    def _on_entry(self, block: nn.Module, args: tuple[Any, ...]) -> None:
        if self._pass is not None:
            self._pass.entry = _taken(args[0], self._pass.rows).to(torch.float32, copy=True)

    def _on_last_norm(self, norm: nn.Module, args: tuple[Any, ...]) -> None:
        if self._pass is None:
            return
        stream = cast(Tensor, args[0])
        last = (_taken(stream, self._pass.rows) if stream.ndim == 3 else stream).float()
        self._pass.mu, self._pass.sigma = spread(last, norm)

    def _finish(self, seen: _Pass, output: Tensor) -> Trace:
        mlp, mlp_mean = self._read_out(torch.stack(seen.mlp, dim=1))
        entry, entry_mean = (None, None) if seen.entry is None else self._read_out(seen.entry)
        patch, patch_mean = (None, None) if seen.patches is None else self._read_out(seen.patches)
        output = output.float()
        norm = output.norm(dim=-1)
        return Trace(
            factor=on_host(torch.stack(seen.factor, dim=1)),
            token_factor=None if seen.token_factor is None else on_host(seen.token_factor),
            class_factor=None if seen.class_factor is None else on_host(torch.stack(seen.class_factor, 1)),
            mlp=on_host(mlp),
            mlp_mean=on_host(mlp_mean),
            sigma=on_host(cast(Tensor, seen.sigma)),
            mu=on_host(cast(Tensor, seen.mu)),
            norm=on_host(norm),
            embedding=on_host(output / norm[:, None]),
            entry=None if entry is None else on_host(entry),
            entry_mean=None if entry_mean is None else on_host(entry_mean),
            neuron_factor={
                layer: on_host(torch.stack(found, dim=1)) for layer, found in seen.neuron_factor.items()
            }
            or None,
            patch=None if patch is None else on_host(patch),
            patch_mean=None if patch_mean is None else on_host(patch_mean),
        )

    def _read_out(self, written: Tensor) -> tuple[Tensor, Tensor]:
        """Give Pᵀ diag(g) C y and mean(y) of what was written to the stream."""
        mean = written.mean(dim=-1)
        read = (written - mean[..., None]) * _affine(self._tower.last_norm)
        projection = self._tower.projection
        if projection is None:
            return read, mean
        matrix = projection.weight.T if isinstance(projection, nn.Linear) else projection
        return read @ matrix.float(), mean


def spread(stream: Tensor, norm: nn.Module) -> tuple[Tensor, Tensor]:
    """Give the mean and the deviation that a LayerNorm takes of what enters it, in two passes."""
    mean = stream.mean(dim=-1)
    variance = (stream - mean[..., None]).square().mean(dim=-1)
    return mean, (variance + cast(nn.LayerNorm, norm).eps).sqrt()


def _taken(stream: Tensor, rows: Tensor | None) -> Tensor:
    """Take the pooled row of each input, of "input token …"."""
    return stream[:, 0] if rows is None else stream[torch.arange(len(stream), device=stream.device), rows]


def _pooled_row(
    attention: Any, stream: Tensor, rows: Tensor | None, mask: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Give the pooled row's attention, "input head token", and what it gathers, "input head head_dim".

    `stream` is the attention's input, "input token width", at any precision; the answers are float32.
    """
    by_head = (attention.num_heads, attention.head_dim)
    query_map, key_map, value_map = attention.in_proj_weight.chunk(3)
    query_bias, key_bias, value_bias = attention.in_proj_bias.chunk(3)
    exact = stream.float()
    if isinstance(getattr(attention, "ln_k", None), nn.LayerNorm):
        query = attention.ln_q(linear(_taken(stream, rows), query_map, query_bias).view(-1, *by_head))
        keys = attention.ln_k(linear(stream, key_map, key_bias).view(*stream.shape[:2], *by_head))
        scores = torch.einsum("ihd,ithd->iht", query.float(), keys.float())
    else:
        query = linear(_taken(exact, rows), query_map.float(), query_bias.float()).view(-1, *by_head)
        probe = torch.einsum("ihd,hdw->ihw", query, key_map.float().view(*by_head, -1))
        scores = probe @ exact.transpose(1, 2)
    scores = scores * attention.head_dim**-0.5
    if mask is not None:
        scores = scores + _mask_row(mask, rows, scores)
    alpha = torch.softmax(scores, dim=-1)
    gathered = torch.einsum("ihw,hdw->ihd", alpha @ exact, value_map.float().view(*by_head, -1))
    return alpha, gathered + value_bias.float().view(by_head)


def _mask_row(mask: Tensor, rows: Tensor | None, scores: Tensor) -> Tensor:
    """Give what is added to the pooled row's scores, "input head token" or what broadcasts to it.

    `mask` is as torch takes it: "query token", or that for each input and head, "input·head query token".
    """
    inputs, heads, _ = scores.shape
    if mask.dtype == torch.bool:
        mask = torch.zeros_like(mask, dtype=torch.float32).masked_fill(mask, -torch.inf)
    if mask.ndim == 3:
        each = mask.view(inputs, heads, *mask.shape[1:]).transpose(1, 2)
        return _taken(each, rows).float()
    return (mask[:1] if rows is None else mask[rows]).float()[:, None]


def _values(attention: Any, stream: Tensor) -> Tensor:
    """Give every token's values as the tower itself computes them, "input head token head_dim"."""
    value_map, value_bias = attention.in_proj_weight.chunk(3)[2], attention.in_proj_bias.chunk(3)[2]
    values = linear(stream, value_map, value_bias)
    return values.view(*stream.shape[:2], attention.num_heads, attention.head_dim).transpose(1, 2)


def _written(block: Block) -> Tensor:
    """Give the matrix by which a block's heads write to the stream, "width head_width", in float32."""
    attention = block.attn
    weight: Tensor = attention.out_proj.weight.float()
    if getattr(attention, "head_scale", None) is not None:
        weight = weight * attention.head_scale.float().reshape(-1).repeat_interleave(attention.head_dim)
    return weight * block.ls_1.gamma.float()[:, None] if isinstance(block.ls_1, LayerScale) else weight


def _class_values(attention: Any, stream: Tensor) -> Tensor:
    """Give the class token's values, "image head head_dim", in float32 as `_pooled_row` gathers them."""
    value_map, value_bias = attention.in_proj_weight.chunk(3)[2], attention.in_proj_bias.chunk(3)[2]
    values = linear(stream[:, 0].float(), value_map.float(), value_bias.float())
    return values.view(-1, attention.num_heads, attention.head_dim)


def _affine(norm: nn.LayerNorm) -> Tensor | float:
    return norm.weight.float() if norm.elementwise_affine else 1.0


def on_host(tensor: Tensor) -> Array:
    """Give a tensor's values as a contiguous array on the host."""
    return cast(Array, tensor.contiguous().cpu().numpy())
