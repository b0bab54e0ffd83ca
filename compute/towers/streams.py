"""Towers of any family: what their blocks write is kept until the pooling says how much each token counts.

With w_kq the weights of tokens that a pooling takes (`towers.pools`), a head adds R_k C W_O s_k where
s_k = sum_q w_kq t_q sum_i alpha_qi v_i, alpha its attention from token q to token i and t_q what norms
between the head and the stream divide by. One reader k leaves the factor s as it is for a class token;
several are summed here, and what is kept of each head is what it adds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import numpy as np
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ...store.errors import UnsupportedTower
from ...store.sets import TowerShape
from . import blocks
from .blocks import Block, Comparing
from .constants import BlockMaps, Exact, narrow, of_blocks
from .pools import AttentionPool, NormPool, Pool
from .sums import Finish, Seen, Written, joined, written_on
from .tower import Tower, Tracing
from .trace import Constants, Trace

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
        if isinstance(pool, AttentionPool):
            size = (shape.layers, shape.heads, shape.head_dim)
            identity = np.eye(shape.joint, dtype=np.float32)
            maps = BlockMaps(
                head_map=np.broadcast_to(identity, (*size, shape.joint)),
                head_mean=np.zeros(size, np.float32),
                attn_bias=np.zeros((shape.layers, shape.joint), np.float32),
                attn_bias_mean=np.zeros(shape.layers, np.float32),
            )
            (bias, own), gain = pool.last_bias, np.zeros(shape.joint)
        else:
            read, bias, own = cast(NormPool, pool).reader
            maps, gain = of_blocks(shape, read, self._written()), read.sum(axis=1)
        return Constants(
            shape=shape,
            **maps,
            embedding=np.zeros(shape.joint, np.float32),
            embedding_mean=0.0,
            gain=narrow(gain),
            bias=narrow(bias),
            projection_bias=None if own is None else narrow(own),
        )

    def _written(self) -> Iterator[tuple[Exact, Exact]]:
        """Give what each block writes, and its output bias: none where that is a varying term."""
        for block in self.blocks:
            weight, _, constant = block.written()
            yield weight, constant * ("attn_bias" not in self.shape.varying)


def assemble(
    module: nn.Module,
    run: Callable[[Tensor], Tensor],
    wired: Sequence[Block],
    first: nn.Module,
    pool: Pool,
    *,
    grid: tuple[int, int],
    prefix: int,
) -> StreamTower:
    """Put a tower together of its parts, and read its shape from them.

    `grid` is that of its patches, y and x, and `prefix` the number of tokens before them.
    """
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
        tokens=grid[0] * grid[1] + prefix,
        grid=grid,
        prefix=prefix,
        varying=tuple(varying),
        dense=dense,
        last_norm=pool.last_norm is not None,
        projection_bias=pool.projection_bias,
    )
    return StreamTower(module, shape, wired, first, pool, run)


class StreamTracing(Tracing):
    """Watches a tower whose tokens are pooled, and traces a batch in parts that leave room for all tokens."""

    def __init__(self, tower: StreamTower) -> None:
        """Take a tower."""
        super().__init__(tower)
        self._tower = tower
        self._pass: Seen | None = None
        self._maps: list[Written] = []

    def _traced(self, inputs: Tensor, tokens: bool, patches: bool, class_token: bool) -> Trace:
        size = self._part(tokens or patches or class_token) if inputs.device.type == "cpu" else len(inputs)
        starts = range(0, len(inputs), size)
        parts = [self._run(inputs[at : at + size], tokens, patches, class_token) for at in starts]
        return parts[0] if len(parts) == 1 else joined(parts)

    def _part(self, compare: bool) -> int:
        shape, rows = self.shape, self._tower.pool.rows
        count = len(range(*rows.indices(shape.tokens)))
        block = self._tower.blocks[0]
        kept = count * (block.heads * block.head_dim + shape.width)
        if compare:
            kept += shape.tokens * 3 * block.heads * block.head_dim
        return max(KEPT // (4 * kept * shape.layers), 1)

    def _run(self, inputs: Tensor, tokens: bool, patches: bool, class_token: bool) -> Trace:
        self._pass = Seen(tokens or patches or class_token)
        try:
            if self._pass.compare:
                self._pass.comparing = Comparing()
                with self._pass.comparing:
                    output = self._tower.run(inputs)
            else:
                output = self._tower.run(inputs)
            if not self._maps:
                device = output.device
                self._maps = [written_on(device, block, self._tower.pool) for block in self._tower.blocks]
            return Finish(self._tower, self._pass, self._maps).trace(output, tokens, patches, class_token)
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
        cast(Seen, self._pass).seen["entry"] = stream

    def _on_attention(self, layer: int, stream: Tensor) -> None:
        seen, attention = cast(Seen, self._pass), self._tower.blocks[layer].attention
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
        cast(Seen, self._pass).gathered.append(gathered[:, self._tower.pool.rows])

    def _on_inner(self, layer: int, gathered: Tensor) -> None:
        norm = cast(nn.LayerNorm, self._tower.blocks[layer].inner_norm)
        cast(Seen, self._pass).inner[layer] = blocks.divided(norm, gathered[:, self._tower.pool.rows])

    def _on_norm(self, layer: int, written: Tensor) -> None:
        norm = cast(nn.LayerNorm, self._tower.blocks[layer].norm)
        cast(Seen, self._pass).divided[layer] = blocks.divided(norm, written[:, self._tower.pool.rows])

    def _on_mlp(self, written: Tensor) -> None:
        cast(Seen, self._pass).mlp.append(written[:, self._tower.pool.rows])
