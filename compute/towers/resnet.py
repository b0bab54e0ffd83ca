"""CLIP's ResNets as they are taken apart: the heads of the attention that pools their last map."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from open_clip.modified_resnet import ModifiedResNet
from torch import Tensor, nn
from torch.nn.functional import linear

from ...store.errors import UnsupportedTower
from ...store.sets import TowerShape
from .constants import exact
from .maps import LastTracing, of_last
from .tower import Tower, running
from .trace import Constants


@dataclass(frozen=True, eq=False)
class PoolingTower(Tower):
    """A ResNet whose last map is pooled by heads; the mean of the map is the query, and token 0."""

    module: nn.Module
    shape: TowerShape
    run: Callable[[Tensor], Tensor]

    def watch(self, neurons: Sequence[int] = ()) -> PoolTracing:
        """Make what watches the tower while a `with` block lasts; `UnsupportedTower` for neurons."""
        if neurons:
            raise UnsupportedTower(type(self.module).__name__, "no head is behind the one that pools")
        return PoolTracing(self)

    def constants(self) -> Constants:
        """Compute the tower's fixed maps: the heads' output projection, and its bias."""
        last = cast(Any, self.module).attnpool.c_proj
        bias = exact(last.bias)
        return of_last(self.shape, exact(last.weight), bias, bias)


class PoolTracing(LastTracing):
    """Watches the heads that pool a ResNet's last map."""

    def __init__(self, tower: PoolingTower) -> None:
        """Take a tower."""
        self._pool: Any = cast(Any, tower.module).attnpool
        super().__init__(tower, self._pool, 2)

    def _gathered(self, last: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        one = torch.ones(len(last), device=last.device)
        return self._by_token(last), one, one * 0

    def _patches(self, written: Tensor) -> tuple[Tensor, Tensor]:
        return written @ self._pool.c_proj.weight.float().T, torch.zeros(written.shape[:2])

    def _by_token(self, last: Tensor) -> Tensor:
        """Give what each head gathers of each token, "input head token head_dim"."""
        pool, heads = self._pool, self._pool.num_heads
        places = last.flatten(2).transpose(1, 2)
        stream = torch.cat([places.mean(dim=1, keepdim=True), places], dim=1)
        stream = stream + pool.positional_embedding.float()

        def by_head(maps: Any, tokens: Tensor) -> Tensor:
            found = linear(tokens, maps.weight.float(), maps.bias.float())
            return found.view(*tokens.shape[:2], heads, -1).transpose(1, 2)

        query, keys = by_head(pool.q_proj, stream[:, :1]), by_head(pool.k_proj, stream)
        alpha = torch.softmax(query @ keys.transpose(-1, -2) * query.shape[-1] ** -0.5, dim=-1)
        return alpha.transpose(-1, -2) * by_head(pool.v_proj, stream)


def take(tower: ModifiedResNet) -> PoolingTower:
    """Take one of CLIP's ResNets apart."""
    pool = cast(Any, tower).attnpool
    weight = cast(Tensor, pool.c_proj.weight)
    tokens = int(pool.positional_embedding.shape[0])
    side = math.isqrt(tokens - 1)  # a square: its class makes no other
    shape = TowerShape(
        layers=1,
        heads=int(pool.num_heads),
        head_dim=weight.shape[1] // int(pool.num_heads),
        width=int(weight.shape[1]),
        joint=int(weight.shape[0]),
        tokens=tokens,
        grid=(side, side),
        grade="pool-heads",
        last_norm=False,
        projection_bias=True,
    )
    return PoolingTower(tower, shape, running(tower, weight))
