"""CLIP's ResNets as they are taken apart: the heads of the attention that pools their last map."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Self, cast

import torch
from open_clip.modified_resnet import ModifiedResNet
from torch import Tensor, nn
from torch.nn.functional import linear

from ...store.errors import UnsupportedTower
from ...store.sets import TowerShape
from .blocks import on_input
from .constants import exact
from .maps import of_last
from .rows import evaluating, on_host
from .tower import Tower
from .trace import Constants, Trace


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


class PoolTracing:
    """Watches a tower while a `with` block lasts; called with a batch of images, it traces them."""

    def __init__(self, tower: PoolingTower) -> None:
        """Take a tower."""
        self._tower, self.shape = tower, tower.shape
        self._pool: Any = cast(Any, tower.module).attnpool
        self._hooks: ExitStack | None = None
        self._map: Tensor | None = None

    def __enter__(self) -> Self:
        self._hooks = ExitStack()
        self._hooks.callback(on_input(self._pool, partial(setattr, self, "_map")).remove)
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
        """Trace a batch."""
        if self._hooks is None:
            raise RuntimeError("nothing is watched yet: `with tower.watch() as tracing: tracing(images)`")
        with torch.inference_mode(), evaluating(self._tower.module):
            device = next(self._tower.module.parameters()).device
            output = self._tower.run(inputs.to(device)).float()
            last, self._map = cast(Tensor, self._map).float(), None
            by_token = self._by_token(last)
            norm = output.norm(dim=-1)
            one = torch.ones(len(output), device=device)
            empty = torch.zeros((len(output), 0, self.shape.joint), device=device)
            patch = patch_mean = None
            if patches:
                written = by_token[:, :, self.shape.prefix :].transpose(1, 2).flatten(2)
                patch = on_host(written @ self._pool.c_proj.weight.float().T)
                patch_mean = on_host(torch.zeros(written.shape[:2]))
            return Trace(
                factor=on_host(by_token.sum(dim=2)[:, None]),
                token_factor=on_host(by_token[:, None]) if tokens else None,
                class_factor=on_host(by_token[:, None, :, 0]) if class_token else None,
                mlp=on_host(empty),
                mlp_mean=on_host(empty[:, :, 0]),
                sigma=on_host(one),
                mu=on_host(one * 0),
                norm=on_host(norm),
                embedding=on_host(output / norm[:, None]),
                patch=patch,
                patch_mean=patch_mean,
            )

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
    shape = TowerShape(
        layers=1,
        heads=int(pool.num_heads),
        head_dim=weight.shape[1] // int(pool.num_heads),
        width=int(weight.shape[1]),
        joint=int(weight.shape[0]),
        tokens=int(pool.positional_embedding.shape[0]),
        grade="pool-heads",
        last_norm=False,
        projection_bias=True,
    )

    def run(images: Tensor) -> Tensor:
        return cast(Tensor, tower(images.to(device=weight.device, dtype=weight.dtype)))

    return PoolingTower(tower, shape, run)
