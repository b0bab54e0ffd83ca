"""Takes one head out of a real forward pass, everything that is not linear in it held as it was.

Attention, the deviations that norms divide by, and the outputs of other heads and MLPs stay those of the
undisturbed pass. What the embedding then loses is what the head adds, found without any of the formulas.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from belvedere.compute.towers.maps import MapTower
from belvedere.compute.towers.pools import AttentionPool, NormPool
from belvedere.compute.towers.resnet import PoolingTower
from belvedere.compute.towers.rows import RowTower
from belvedere.compute.towers.streams import StreamTower
from belvedere.compute.towers.tower import Tower


def lost(tower: Tower, images: Tensor, layer: int, head: int) -> Tensor:
    """Give what the embedding of each image loses with one head, "image joint"."""
    with torch.inference_mode(), _without(tower, images, layer, head) as whole:
        return whole - tower.run(images)


@contextmanager
def _without(tower: Tower, images: Tensor, layer: int, head: int) -> Iterator[Tensor]:
    with ExitStack() as stack:
        if isinstance(tower, PoolingTower):
            whole = tower.run(images)
            last: Any = tower.module.attnpool
            stack.enter_context(_zeroed(last.c_proj, head, tower.shape.head_dim))
            yield whole
            return
        if isinstance(tower, MapTower):
            norms, held = _last_norms(tower.pool), _Held(stack)
            for norm in norms:
                held.norm(norm)
            whole = held.of(lambda: tower.run(images))
            stack.enter_context(_channels(tower, head))
            yield whole
            return
        assert isinstance(tower, RowTower | StreamTower)
        held = _Held(stack)
        _hold_all(tower, held, layer)
        whole = held.of(lambda: tower.run(images))
        stack.enter_context(_zeroed(_out(tower, layer), head, _head_dim(tower, layer)))
        yield whole


class _Held:
    """Remembers what modules do in one pass, and has them do it again in the next."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack, self._keeping = stack, True
        self._kept: dict[nn.Module, Any] = {}

    def of(self, run: Callable[[], Tensor]) -> Tensor:
        """Run once to remember."""
        found = run()
        self._keeping = False
        return found

    def output(self, module: nn.Module) -> None:
        """Have a module give what it gave."""

        def hook(module: nn.Module, args: Any, output: Any) -> Any:
            if self._keeping:
                self._kept[module] = output
            return self._kept[module]

        self._stack.callback(module.register_forward_hook(hook).remove)

    def norm(self, norm: nn.LayerNorm) -> None:
        """Have a norm divide by what it divided by; the mean is that of what it is given."""

        def hook(module: Any, args: Any, output: Any) -> Any:
            channels_first = args[0].ndim == 4 and args[0].shape[1] == module.normalized_shape[0]
            given = args[0].movedim(1, -1) if channels_first else args[0]
            mean = given.mean(-1, keepdim=True)
            if self._keeping:
                self._kept[module] = ((given - mean).square().mean(-1, keepdim=True) + module.eps).sqrt()
            normed = (given - mean) / self._kept[module] * module.weight + module.bias
            return normed.movedim(-1, 1) if channels_first else normed

        self._stack.callback(norm.register_forward_hook(hook).remove)

    def attention(self, pool: nn.Module) -> None:
        """Have a pooling attention weigh tokens as it did; its values are those of what it is given."""
        torchs = isinstance(pool, nn.MultiheadAttention)

        def hook(module: Any, args: Any, output: Any) -> Any:
            if self._keeping:
                self._kept[module] = (
                    _torchs_weights(module, *args[:2]) if torchs else _weights(module, args[0])
                )
            alpha = self._kept[module]
            return _torchs_pooled(module, alpha, args[1]) if torchs else _pooled(module, alpha, args[0])

        self._stack.callback(pool.register_forward_hook(hook).remove)


def _hold_all(tower: RowTower | StreamTower, held: _Held, layer: int) -> None:
    for place, block in enumerate(tower.blocks):
        stream = isinstance(tower, StreamTower)
        held.output(block.mlp if stream else block.ls_2)
        if place != layer:
            held.output(block.attention if stream else block.attn)
        elif stream and block.norm is not None:
            held.norm(block.norm)
    if isinstance(tower, RowTower):
        held.norm(tower.last_norm)
        return
    pool = tower.pool
    for norm in _last_norms(pool):
        held.norm(norm)
    if isinstance(pool, AttentionPool):
        if pool.mlp is not None:
            held.output(pool.mlp)
        module: Any = pool.attending.module
        inner = getattr(module, "attn", None) or getattr(module, "attention", None)
        held.attention(inner if isinstance(inner, nn.Module) else module)


def _last_norms(pool: Any) -> list[nn.LayerNorm]:
    norms = [pool.norm] if isinstance(pool, NormPool) else [pool.norm, pool.last_norm]
    return [norm for norm in norms if norm is not None]


def _weights(module: Any, tokens: Tensor) -> Tensor:
    """The attention of timm's latent query, "image head token"."""
    batch, length, _ = tokens.shape
    query = module.q_norm(module.q(module.latent).view(1, 1, module.num_heads, -1))[0, 0]
    keys = module.kv(tokens).chunk(2, dim=-1)[0].view(batch, length, module.num_heads, -1)
    scores = torch.einsum("hd,bnhd->bhn", query, module.k_norm(keys)) * query.shape[-1] ** -0.5
    found: Tensor = scores.softmax(-1)
    return found


def _pooled(module: Any, alpha: Tensor, tokens: Tensor) -> Tensor:
    batch, length, _ = tokens.shape
    values = module.kv(tokens).chunk(2, dim=-1)[1].view(batch, length, module.num_heads, -1)
    pooled = module.proj(torch.einsum("bhn,bnhd->bhd", alpha, values).flatten(1))
    found: Tensor = pooled + module.mlp(module.norm(pooled)[:, None])[:, 0]
    return found


def _torchs_maps(module: Any) -> Any:
    if module.in_proj_weight is not None:
        return list(zip(module.in_proj_weight.chunk(3), module.in_proj_bias.chunk(3), strict=True))
    maps = (module.q_proj_weight, module.k_proj_weight, module.v_proj_weight)
    return list(zip(maps, module.in_proj_bias.chunk(3), strict=True))


def _torchs_weights(module: Any, queries: Tensor, tokens: Tensor) -> Tensor:
    """The attention of the first query, "image head token"."""
    (query_map, query_bias), (key_map, key_bias), _ = _torchs_maps(module)
    size = (module.num_heads, module.head_dim)
    query = nn.functional.linear(queries[:, 0], query_map, query_bias).view(-1, *size)
    keys = nn.functional.linear(tokens, key_map, key_bias).view(*tokens.shape[:2], *size)
    scores = torch.einsum("bhd,bnhd->bhn", query, keys) * query.shape[-1] ** -0.5
    found: Tensor = scores.softmax(-1)
    return found


def _torchs_pooled(module: Any, alpha: Tensor, tokens: Tensor) -> Any:
    """What the first query gathers, in every query's place."""
    value_map, value_bias = _torchs_maps(module)[2]
    values = nn.functional.linear(tokens, value_map, value_bias)
    values = values.view(*tokens.shape[:2], module.num_heads, module.head_dim)
    pooled = module.out_proj(torch.einsum("bhn,bnhd->bhd", alpha, values).flatten(1))
    return pooled[:, None], None


def _out(tower: RowTower | StreamTower, layer: int) -> Any:
    return tower.blocks[layer].out if isinstance(tower, StreamTower) else tower.blocks[layer].attn.out_proj


def _head_dim(tower: RowTower | StreamTower, layer: int) -> int:
    if isinstance(tower, StreamTower):
        return tower.blocks[layer].head_dim
    return int(tower.blocks[layer].attn.head_dim)


@contextmanager
def _zeroed(out: Any, head: int, head_dim: int) -> Iterator[None]:
    """Take a head's columns out of an output projection, and put them back."""
    columns = slice(head * head_dim, (head + 1) * head_dim)
    kept = out.weight.data.clone()
    out.weight.data[:, columns] = 0
    try:
        yield
    finally:
        out.weight.data.copy_(kept)


@contextmanager
def _channels(tower: MapTower, head: int) -> Iterator[None]:
    """Take a block of channels out of a map."""
    channels = slice(head * tower.shape.head_dim, (head + 1) * tower.shape.head_dim)

    def hook(module: nn.Module, args: Any) -> Any:
        given = args[0].clone()
        (given[..., channels] if tower.channels_last else given[:, channels]).zero_()
        return (given, *args[1:])

    handle = tower.pool.given.register_forward_pre_hook(hook)
    try:
        yield
    finally:
        handle.remove()
