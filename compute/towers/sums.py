"""What a stream tower's blocks wrote, summed over its tokens as the pooling weighs them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor

from ...store.errors import UnsupportedTower
from .blocks import Block, Comparing, Queries
from .pools import AttentionPool, NormPool, Pool, Weights
from .rows import on_host
from .trace import Array, Trace

if TYPE_CHECKING:
    from .streams import StreamTower


@dataclass(slots=True)
class Seen:
    """What the hooks have seen of the batch that is under way."""

    compare: bool
    seen: dict[str, Tensor] = field(default_factory=dict)
    gathered: list[Tensor] = field(default_factory=list)
    inner: dict[int, Tensor] = field(default_factory=dict)
    divided: dict[int, Tensor] = field(default_factory=dict)
    mlp: list[Tensor] = field(default_factory=list)
    packed: dict[int, Queries] = field(default_factory=dict)
    comparing: Comparing | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Written:
    """What a block writes of what its heads gather, on the tower's device in float32."""

    weight: Tensor
    """W_O with all that is folded into it, "width head_width"."""
    through: Tensor | None
    """W_V diag(g) C W_O of each head of a pooling attention for each head, "reader e head head_dim"."""
    varying: Tensor
    """Its biases; those before a norm behind its output projection, "width"."""
    constant: Tensor
    """And all others, "width"."""


def written_on(device: torch.device, block: Block, pool: Pool) -> Written:
    """Compute what a block writes of what its heads gather, and bring it to a device."""
    weight, varying, constant = (torch.from_numpy(each).to(device, torch.float32) for each in block.written())
    through = None
    if isinstance(pool, AttentionPool):
        by_head = weight.view(-1, block.heads, block.head_dim)
        through = torch.einsum("kew,whd->kehd", pool.maps[0], by_head)
    return Written(weight, through, varying, constant)


class Finish:
    """Sums over the tokens of a batch that has gone through."""

    def __init__(self, tower: StreamTower, seen: Seen, written: Sequence[Written]) -> None:
        """Take a tower, what was seen in it of a batch, and what its blocks write."""
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
        return torch.einsum("bhke,jke->bhj", read, cast(AttentionPool, self._tower.pool).maps[1])

    def _read(self, stream: Tensor) -> tuple[Tensor, Tensor]:
        """Read "input reader … width" out to the joint space, "input … joint", and give its mean."""
        pool = self._tower.pool
        if isinstance(pool, AttentionPool):
            values, ends = pool.maps
            found = torch.einsum("bk...w,kew->b...ke", stream, values)
            read = torch.einsum("b...ke,jke->b...j", found, ends)
            return read, torch.zeros(read.shape[:-1], device=read.device)
        mean = stream[:, 0].mean(dim=-1)
        return (stream[:, 0] - mean[..., None]) @ cast(NormPool, pool).read, mean

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
            found["pool_bias"] = self._tower.pool.bias.expand(len(bias), -1)
            found["pool_mlp"] = cast(Tensor, self._weights.after)
        return on_host(torch.stack([found[name] for name in names], dim=1))


def joined(parts: Sequence[Trace]) -> Trace:
    """Put the traces of parts of a batch together."""
    found: dict[str, Any] = {}
    for each in fields(Trace):
        values = [getattr(part, each.name) for part in parts]
        found[each.name] = None if values[0] is None else np.concatenate(values)
    return Trace(**found)
