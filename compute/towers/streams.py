"""Towers of any family: what their blocks write is kept until the pooling says how much each token counts.

With w_kq the weights of tokens that a pooling takes (`towers.pools`), a head adds R_k C W_O s_k where
s_k = sum_q w_kq t_q sum_i alpha_qi v_i, alpha its attention from token q to token i and t_q what norms
between the head and the stream divide by. One reader k leaves the factor s as it is for a class token;
several are summed here, and what is kept of each head is what it adds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, fields
from functools import partial
from types import TracebackType
from typing import Any, Self, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ...store.errors import UnsupportedTower
from ...store.sets import TowerShape
from . import blocks
from .blocks import Block, Comparing
from .pools import AttentionPool, NormPool, Pool, Weights
from .rows import evaluating, on_host
from .tower import Tower
from .trace import Array, Constants, Trace

KEPT = 2**29
"""Bytes that are kept at most of a batch on a processor, which goes through in parts where it would be more;
on other devices the runner halves a batch for which there is no room."""


@dataclass(frozen=True, eq=False)
class StreamTower(Tower):
    """A tower of residual blocks over one stream of tokens, and a pooling of it."""

    module: nn.Module
    shape: TowerShape
    blocks: Sequence[Block]
    """Its residual blocks, first to last."""
    first: nn.Module
    """The module that is given the stream as it enters the first block."""
    pool: Pool
    """How its tokens become the embedding."""
    run: Callable[[Tensor], Tensor]

    def watch(self, neurons: Sequence[int] = ()) -> StreamTracing:
        """Make what watches the tower while a `with` block lasts; `UnsupportedTower` for neurons."""
        if neurons:
            raise UnsupportedTower(
                type(self.module).__name__,
                "what later heads read of neurons is known for open_clip's own class-token towers only",
            )
        return StreamTracing(self)

    def constants(self) -> Constants:
        """Compute the tower's fixed maps; float32, computed in float64."""
        shape, pool = self.shape, self.pool
        size = (shape.layers, shape.heads, shape.head_dim)
        attn_bias, attn_bias_mean = np.zeros((shape.layers, shape.joint)), np.zeros(shape.layers)
        if isinstance(pool, AttentionPool):
            bias, own = pool.last_bias()
            head_map = np.broadcast_to(np.eye(shape.joint, dtype=np.float32), (*size, shape.joint))
            head_mean, gain = np.zeros(size), np.zeros(shape.joint)
        else:
            read, bias, own = cast(NormPool, pool).reader()
            centred = read - read.mean(axis=1, keepdims=True)
            gain = read.sum(axis=1)
            maps = np.empty((*size, shape.joint), np.float32)
            head_mean = np.empty(size)
            for layer, block in enumerate(self.blocks):
                weight, varying, constant = block.written()
                maps[layer] = (weight.T @ centred.T).reshape(maps.shape[1:])
                head_mean[layer] = weight.mean(axis=0).reshape(size[1:])
                del varying
                if "attn_bias" not in shape.varying:
                    attn_bias[layer], attn_bias_mean[layer] = centred @ constant, constant.mean()
            head_map = maps.swapaxes(-1, -2)
        return Constants(
            shape=shape,
            head_map=head_map,
            head_mean=head_mean.astype(np.float32),
            attn_bias=attn_bias.astype(np.float32),
            attn_bias_mean=attn_bias_mean.astype(np.float32),
            embedding=np.zeros(shape.joint, np.float32),
            embedding_mean=0.0,
            gain=gain.astype(np.float32),
            bias=bias.astype(np.float32),
            projection_bias=None if own is None else own.astype(np.float32),
        )


def assemble(
    module: nn.Module,
    run: Callable[[Tensor], Tensor],
    wired: Sequence[Block],
    first: nn.Module,
    pool: Pool,
    *,
    tokens: int,
    prefix: int,
) -> StreamTower:
    """Put a tower together of its parts, and read its shape from them."""
    dense = isinstance(pool, AttentionPool)
    varying = ["embedding"]
    if dense or any(block.norm is not None for block in wired):
        varying.append("attn_bias")
    if isinstance(pool, AttentionPool):
        varying += ["pool_bias", *(["pool_mlp"] if pool.mlp is not None else [])]
    shape = TowerShape(
        layers=len(wired),
        heads=wired[0].heads,
        head_dim=pool.joint if dense else wired[0].head_dim,
        width=pool.width,
        joint=pool.joint,
        tokens=tokens,
        prefix=prefix,
        varying=tuple(varying),
        dense=dense,
        last_norm=pool.last_norm is not None,
        projection_bias=pool.projection_bias,
    )
    return StreamTower(module, shape, wired, first, pool, run)


@dataclass(slots=True)
class _Pass:
    """What the hooks have seen of the batch that is under way."""

    compare: bool
    seen: dict[str, Tensor] = field(default_factory=dict)
    gathered: list[Tensor] = field(default_factory=list)
    inner: dict[int, Tensor] = field(default_factory=dict)
    divided: dict[int, Tensor] = field(default_factory=dict)
    mlp: list[Tensor] = field(default_factory=list)
    packed: dict[int, blocks.Queries] = field(default_factory=dict)
    comparing: Comparing | None = None


class StreamTracing:
    """Watches a tower while a `with` block lasts; called with a batch of images, it traces them."""

    def __init__(self, tower: StreamTower) -> None:
        """Take a tower."""
        self._tower, self.shape = tower, tower.shape
        self._hooks: ExitStack | None = None
        self._pass: _Pass | None = None
        self._maps: list[_Written] = []

    def __enter__(self) -> Self:
        with ExitStack() as hooks:
            for handle in blocks.removing(self._watch()):
                hooks.callback(handle.remove)
            self._hooks = hooks.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._hooks is not None:
            self._hooks.close()
            self._hooks = None

    def __call__(
        self, inputs: Tensor, tokens: bool = False, patches: bool = False, class_token: bool = False
    ) -> Trace:
        """Trace a batch, in parts where more than `KEPT` bytes would be kept at a time."""
        if self._hooks is None:
            raise RuntimeError("nothing is watched yet: `with tower.watch() as tracing: tracing(images)`")
        with torch.inference_mode(), evaluating(self._tower.module):
            device = next(self._tower.module.parameters()).device
            size = self._part(tokens or patches or class_token) if device.type == "cpu" else len(inputs)
            parts = [
                self._traced(inputs[start : start + size].to(device), tokens, patches, class_token)
                for start in range(0, len(inputs), size)
            ]
        return parts[0] if len(parts) == 1 else joined(parts)

    def _part(self, compare: bool) -> int:
        shape, rows = self.shape, self._tower.pool.rows
        count = len(range(*rows.indices(shape.tokens)))
        block = self._tower.blocks[0]
        kept = count * (block.heads * block.head_dim + shape.width)
        if compare:
            kept += shape.tokens * 3 * block.heads * block.head_dim
        return max(KEPT // (4 * kept * shape.layers), 1)

    def _traced(self, inputs: Tensor, tokens: bool, patches: bool, class_token: bool) -> Trace:
        self._pass = _Pass(tokens or patches or class_token)
        try:
            if self._pass.compare:
                self._pass.comparing = Comparing()
                with self._pass.comparing:
                    output = self._tower.run(inputs)
            else:
                output = self._tower.run(inputs)
            if not self._maps:
                device = output.device
                self._maps = [_on(device, block, self._tower.pool) for block in self._tower.blocks]
            return _Finish(self._tower, self._pass, self._maps).trace(output, tokens, patches, class_token)
        finally:
            self._pass = None

    def _watch(self) -> Iterator[RemovableHandle]:
        tower = self._tower
        yield blocks.on_input(tower.first, partial(self._note, self._on_entry))
        for layer, block in enumerate(tower.blocks):
            attention = partial(self._note, partial(self._on_attention, layer))
            yield blocks.on_input(block.attention, attention)
            yield block.attention.register_forward_hook(self._on_end)
            if not isinstance(block.attention, nn.MultiheadAttention):
                yield blocks.on_input(block.out, partial(self._note, self._on_gathered))
            if block.inner_norm is not None:
                inner = partial(self._note, partial(self._on_inner, layer))
                yield blocks.on_input(block.inner_norm, inner)
            if block.norm is not None:
                yield blocks.on_input(block.norm, partial(self._note, partial(self._on_norm, layer)))
            yield blocks.on_output(block.mlp, partial(self._note, self._on_mlp))
        yield from tower.pool.watch(self._on_pool)

    def _note(self, take: Callable[[Tensor], None], tensor: Tensor) -> None:
        if self._pass is not None:
            take(tensor)

    def _on_pool(self, name: str, tensor: Tensor) -> None:
        if self._pass is not None:
            self._pass.seen[name] = tensor

    def _on_entry(self, stream: Tensor) -> None:
        cast(_Pass, self._pass).seen["entry"] = stream

    def _on_attention(self, layer: int, stream: Tensor) -> None:
        seen, attention = cast(_Pass, self._pass), self._tower.blocks[layer].attention
        if isinstance(attention, nn.MultiheadAttention):
            queries = blocks.of_packed(attention, stream)
            seen.gathered.append(blocks.gathered(queries)[:, self._tower.pool.rows])
            if seen.compare:
                seen.packed[layer] = queries
        elif seen.comparing is not None:
            seen.comparing.layer = layer

    def _on_end(self, *call: Any) -> None:
        if self._pass is not None and self._pass.comparing is not None:
            self._pass.comparing.layer = None

    def _on_gathered(self, gathered: Tensor) -> None:
        cast(_Pass, self._pass).gathered.append(gathered[:, self._tower.pool.rows])

    def _on_inner(self, layer: int, gathered: Tensor) -> None:
        norm = cast(nn.LayerNorm, self._tower.blocks[layer].inner_norm)
        cast(_Pass, self._pass).inner[layer] = blocks.divided(norm, gathered[:, self._tower.pool.rows])

    def _on_norm(self, layer: int, written: Tensor) -> None:
        norm = cast(nn.LayerNorm, self._tower.blocks[layer].norm)
        cast(_Pass, self._pass).divided[layer] = blocks.divided(norm, written[:, self._tower.pool.rows])

    def _on_mlp(self, written: Tensor) -> None:
        cast(_Pass, self._pass).mlp.append(written[:, self._tower.pool.rows])


@dataclass(frozen=True, slots=True, eq=False)
class _Written:
    """What a block writes of what its heads gather, on the tower's device in float32."""

    weight: Tensor
    """W_O with all that is folded into it, "width head_width"."""
    through: Tensor | None
    """W_V diag(g) C W_O of each head of a pooling attention for each head, "reader e head head_dim"."""
    varying: Tensor
    """Its biases; those before a norm behind its output projection, "width"."""
    constant: Tensor
    """And all others, "width"."""


def _on(device: torch.device, block: Block, pool: Pool) -> _Written:
    weight, varying, constant = (torch.from_numpy(each).to(device, torch.float32) for each in block.written())
    through = None
    if isinstance(pool, AttentionPool):
        by_head = weight.view(-1, block.heads, block.head_dim)
        through = torch.einsum("kew,whd->kehd", pool.maps()[0], by_head)
    return _Written(weight, through, varying, constant)


class _Finish:
    """Sums over the tokens of a batch that has gone through."""

    def __init__(self, tower: StreamTower, seen: _Pass, written: Sequence[_Written]) -> None:
        self._tower, self._seen, self._shape, self._written = tower, seen, tower.shape, written
        self._weights: Weights = tower.pool.weigh(seen.seen)

    def trace(self, output: Tensor, tokens: bool, patches: bool, class_token: bool) -> Trace:
        """Give the trace of the batch."""
        output = output.float()
        norm = output.norm(dim=-1)
        mlp, mlp_mean = self._read(torch.stack([self._sum(each) for each in self._seen.mlp], dim=2))
        entry, entry_mean = self._read(self._sum(self._seen.seen["entry"][:, self._tower.pool.rows]))
        by_token = self._by_tokens(tokens, patches, class_token) if self._seen.compare else {}
        return Trace(
            factor=on_host(torch.stack([self._factor(layer) for layer in range(self._shape.layers)], dim=1)),
            mlp=on_host(mlp),
            mlp_mean=on_host(mlp_mean),
            sigma=on_host(self._weights.sigma),
            mu=on_host(self._weights.mu),
            norm=on_host(norm),
            embedding=on_host(output / norm[:, None]),
            entry=on_host(entry),
            entry_mean=on_host(entry_mean),
            rest=self._rest(),
            token_factor=by_token.get("token_factor"),
            class_factor=by_token.get("class_factor"),
            patch=by_token.get("patch"),
            patch_mean=by_token.get("patch_mean"),
        )

    def _factor(self, layer: int) -> Tensor:
        block = self._tower.blocks[layer]
        summed = torch.einsum("bkr,brw->bkw", self._counted(layer), self._seen.gathered[layer].float())
        return self._kept(layer, summed.view(*summed.shape[:2], block.heads, block.head_dim))

    def _by_tokens(self, tokens: bool, patches: bool, class_token: bool) -> dict[str, Array]:
        every, first, sums = [], [], None
        for layer in range(self._shape.layers):
            found = self._by_token(layer)
            if class_token:
                first.append(self._kept(layer, found[:, :, :, 0]))
            if tokens:
                flat = found.permute(0, 3, 1, 2, 4).flatten(0, 1)
                kept = self._kept(layer, flat)
                every.append(kept.view(len(found), -1, *kept.shape[1:]).transpose(1, 2))
            if patches:
                by_patch = found[:, :, :, self._shape.prefix :].permute(0, 1, 3, 2, 4).flatten(3)
                written = by_patch @ self._written[layer].weight.T
                sums = written if sums is None else sums + written
        asked = {"token_factor": every, "class_factor": first}
        answer = {name: on_host(torch.stack(values, dim=1)) for name, values in asked.items() if values}
        if sums is not None:
            answer["patch"], answer["patch_mean"] = map(on_host, self._read(sums))
        return answer

    def _counted(self, layer: int) -> Tensor:
        """Give the weights of rows for what a layer's heads write, "input reader row"."""
        divided = self._seen.divided.get(layer)
        return self._weights.tokens if divided is None else self._weights.tokens * divided[:, None]

    def _sum(self, stream: Tensor) -> Tensor:
        return torch.einsum("bkr,brw->bkw", self._weights.tokens, stream.float())

    def _by_token(self, layer: int) -> Tensor:
        """Give what the heads of a layer gather of each token, "input reader head token head_dim"."""
        seen, block = self._seen, self._tower.blocks[layer]
        queries = seen.packed.get(layer)
        if queries is None:
            queries = cast(Comparing, seen.comparing).seen.get(layer)
        if queries is None:
            raise UnsupportedTower(
                type(self._tower.module).__name__,
                f"the attention of block {layer} does not go through torch's scaled_dot_product_attention "
                "(switched off, as by TIMM_FUSED_ATTN=0), so what each token adds cannot be told",
            )
        counted = self._counted(layer)
        norm = block.inner_norm
        scaled = counted if norm is None else counted * seen.inner[layer][:, None]
        alpha = torch.einsum("bkr,bhrn->bkhn", scaled, queries.weights(self._tower.pool.rows))
        found = alpha[..., None] * queries.value.float()[:, None]
        if norm is None:
            return found
        found -= found.mean(dim=(2, 4), keepdim=True)
        if norm.weight is not None:
            found *= norm.weight.float().view(block.heads, 1, block.head_dim)
        if cast("Tensor | None", norm.bias) is not None:
            share = counted.sum(-1)[:, :, None, None, None] / found.shape[3]
            found += share * norm.bias.float().view(block.heads, 1, block.head_dim)
        return found

    def _kept(self, layer: int, factor: Tensor) -> Tensor:
        """Give what is kept of heads, "input head head_dim", of factors "input reader head head_dim"."""
        through = self._written[layer].through
        if through is None:
            return factor[:, 0]
        read = torch.einsum("bkhd,kehd->bhke", factor, through)
        return torch.einsum("bhke,jke->bhj", read, cast(AttentionPool, self._tower.pool).maps()[1])

    def _read(self, stream: Tensor) -> tuple[Tensor, Tensor]:
        """Read "input reader … width" out to the joint space, "input … joint", and give its mean."""
        pool = self._tower.pool
        if isinstance(pool, AttentionPool):
            values, ends = pool.maps()
            found = torch.einsum("bk...w,kew->b...ke", stream, values)
            read = torch.einsum("b...ke,jke->b...j", found, ends)
            return read, torch.zeros(read.shape[:-1], device=read.device)
        matrix, _, _ = cast(NormPool, pool).reader()
        mean = stream[:, 0].mean(dim=-1)
        centred = stream[:, 0] - mean[..., None]
        return centred @ torch.from_numpy(matrix.T).to(centred), mean

    def _rest(self) -> Array | None:
        """Give the terms after the embedding that vary by input, "input term joint"."""
        names = self._shape.varying[1:]
        if not names:
            return None
        bias = torch.zeros(())
        for layer, written in enumerate(self._written):
            varying = self._counted(layer).sum(-1, keepdim=True) * written.varying
            constant = self._weights.tokens.sum(-1, keepdim=True) * written.constant
            bias = bias.to(varying) + varying + constant
        found = {"attn_bias": self._read(bias)[0]}
        if isinstance(self._tower.pool, AttentionPool):
            constant = torch.from_numpy(self._tower.pool.bias()).to(bias)
            found["pool_bias"] = constant.expand(len(bias), -1)
            found["pool_mlp"] = cast(Tensor, self._weights.after)
        return on_host(torch.stack([found[name] for name in names], dim=1))


def joined(parts: Sequence[Trace]) -> Trace:
    """Put the traces of parts of a batch together."""
    found: dict[str, Any] = {}
    for each in fields(Trace):
        values = [getattr(part, each.name) for part in parts]
        found[each.name] = None if values[0] is None else np.concatenate(values)
    return Trace(**found)
