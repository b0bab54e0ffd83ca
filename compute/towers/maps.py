"""Towers whose last stage is a map: what each place and each block of its channels adds to the embedding.

Convolutions before the map have no heads, and what they write passes activations that are not linear; but the
embedding is linear in the last map once the last norm's deviation is held. A block of channels stands in a
head's place, a place of the map in a token's.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from timm.layers.adaptive_avgmax_pool import SelectAdaptivePool2d
from timm.layers.classifier import ClassifierHead, NormMlpClassifierHead
from timm.models.convnext import ConvNeXt
from timm.models.fastvit import FastVit
from timm.models.swin_transformer import SwinTransformer
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ...store.errors import UnsupportedTower
from ...store.sets import TowerShape
from .blocks import on_input
from .constants import Exact, narrow
from .pools import NormPool
from .rows import on_host
from .tower import Tower, Tracing
from .trace import Constants, Trace

CHANNELS = 64
"""Channels of a block, as wide as most heads."""
TRUNKS = (ConvNeXt, SwinTransformer, FastVit)


@dataclass(frozen=True, eq=False)
class MapTower(Tower):
    """A tower whose embedding is a projection of the mean of a map, normed before or after or not at all."""

    module: nn.Module
    shape: TowerShape
    run: Callable[[Tensor], Tensor]
    pool: NormPool
    """How the map is pooled and read; it is given the map, "input place channel" once laid out flat."""
    channels_last: bool
    """Whether the map is "input y x channel", and not "input channel y x"."""

    def watch(self, neurons: Sequence[int] = ()) -> MapTracing:
        """Make what watches the tower while a `with` block lasts; `UnsupportedTower` for neurons."""
        if neurons:
            raise UnsupportedTower(type(self.module).__name__, "no head is behind its last map")
        return MapTracing(self)

    def constants(self) -> Constants:
        """Compute the tower's fixed maps; float32, computed in float64."""
        read, bias, own = self.pool.reader
        if self.pool.norm is not None:
            read = read - read.mean(axis=1, keepdims=True)
        return of_last(self.shape, read, bias, own)


def of_last(shape: TowerShape, read: Exact, bias: Exact, own: Exact | None) -> Constants:
    """Give the constants of a tower of one layer whose heads are read by "joint width" and nothing else."""
    size = (1, shape.heads, shape.head_dim)
    maps = np.ascontiguousarray(read.T, np.float32).reshape(*size, shape.joint).swapaxes(-1, -2)
    return Constants(
        shape=shape,
        head_map=maps,
        head_mean=np.zeros(size, np.float32),
        attn_bias=np.zeros((1, shape.joint), np.float32),
        attn_bias_mean=np.zeros(1, np.float32),
        embedding=np.zeros(shape.joint, np.float32),
        embedding_mean=0.0,
        gain=np.zeros(shape.joint, np.float32),
        bias=narrow(bias),
        projection_bias=None if own is None else narrow(own),
    )


class LastTracing(Tracing):
    """Watches what is given a tower's last map, in which each token is one that a head gathers."""

    def __init__(self, tower: Tower, given: nn.Module, first: int) -> None:
        """Take a tower, the module that is given its last map, and which axis of that is y; x follows it."""
        super().__init__(tower)
        self._given, self._first = given, first
        self._map: Tensor | None = None

    @abstractmethod
    def _gathered(self, last: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Give what each head gathers of each token, "input head token head_dim", sigma and mu, "input"."""

    @abstractmethod
    def _patches(self, written: Tensor) -> tuple[Tensor, Tensor]:
        """Read what heads gather of the places out, "input place width", and give its mean before."""

    def _watch(self) -> Iterator[RemovableHandle]:
        yield on_input(self._given, partial(setattr, self, "_map"))

    def _traced(self, inputs: Tensor, tokens: bool, patches: bool, class_token: bool) -> Trace:
        output = self._whole.run(inputs).float()
        last, self._map = cast(Tensor, self._map).float(), None
        if (seen := tuple(last.shape[self._first : self._first + 2])) != self.shape.grid:
            rows, columns = self.shape.grid or ("no", "no")
            raise UnsupportedTower(
                type(self._whole.module).__name__,
                f"its last map has {seen[0]} rows of {seen[1]} places, and its configuration tells of {rows} "
                f"rows of {columns}; is it given pictures of another size?",
            )
        by_token, sigma, mu = self._gathered(last)
        norm = output.norm(dim=-1)
        empty = torch.zeros((len(output), 0, self.shape.joint), device=output.device)
        patch = patch_mean = None
        if patches:
            places = by_token[:, :, self.shape.prefix :].transpose(1, 2).flatten(2)
            patch, patch_mean = map(on_host, self._patches(places))
        return Trace(
            factor=on_host(by_token.sum(dim=2)[:, None]),
            token_factor=on_host(by_token[:, None]) if tokens else None,
            class_factor=on_host(by_token[:, None, :, 0]) if class_token and self.shape.prefix else None,
            mlp=on_host(empty),
            mlp_mean=on_host(empty[:, :, 0]),
            sigma=on_host(sigma),
            mu=on_host(mu),
            norm=on_host(norm),
            embedding=on_host(output / norm[:, None]),
            patch=patch,
            patch_mean=patch_mean,
        )


class MapTracing(LastTracing):
    """Watches a tower whose last map is averaged; a head gathers a block of its channels."""

    def __init__(self, tower: MapTower) -> None:
        """Take a tower."""
        super().__init__(tower, tower.pool.given, 1 if tower.channels_last else 2)
        self._tower = tower

    def _gathered(self, last: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        pool = self._tower.pool
        places = last.flatten(1, 2) if self._tower.channels_last else last.flatten(2).transpose(1, 2)
        entering = places if pool.norm is None or pool.norm_first else places.mean(dim=1)
        weights = pool.weigh({"last": entering, "entry": places})
        counted = weights.tokens.transpose(1, 2) * places
        by_block = counted.view(*counted.shape[:2], self.shape.heads, self.shape.head_dim)
        return by_block.transpose(1, 2), weights.sigma, weights.mu

    def _patches(self, written: Tensor) -> tuple[Tensor, Tensor]:
        pool = self._tower.pool
        mean = written.mean(dim=-1)
        centred = written if pool.norm is None else written - mean[..., None]
        return centred @ pool.read, mean


def take(
    trunk: nn.Module,
    name: str,
    projection: nn.Linear | None,
    module: nn.Module,
    run: Callable[[Tensor], Tensor],
    size: tuple[int, int],
) -> MapTower:
    """Take a trunk of timm's apart whose last stage is a map, and whose head or this projection ends it.

    `size` is that of its pictures, y and x. Raises `UnsupportedTower` under this name, with the reason.
    """
    if reason := why_not(trunk):
        raise UnsupportedTower(name, reason)
    transformer = cast(Any, trunk)
    head, width = transformer.head, int(transformer.num_features)
    ends = projection if projection is not None else head.fc
    ends = ends if isinstance(ends, nn.Linear) else None
    swin = isinstance(trunk, SwinTransformer)
    norm = transformer.norm if swin else getattr(head, "norm", None)
    norm = None if isinstance(norm, nn.Identity) else norm
    pool = NormPool(slice(None), norm, swin, ends, transformer.norm if swin else head, width)
    stride = int(transformer.feature_info[-1]["reduction"])
    rows, columns = (-(-side // stride) for side in size)
    shape = TowerShape(
        layers=1,
        heads=width // CHANNELS if width % CHANNELS == 0 else 1,
        head_dim=CHANNELS if width % CHANNELS == 0 else width,
        width=width,
        joint=pool.joint,
        tokens=rows * columns,
        grid=(rows, columns),
        grade="positions",
        prefix=0,
        last_norm=pool.last_norm is not None,
        projection_bias=pool.projection_bias,
    )
    return MapTower(module, shape, run, pool, channels_last=swin)


def why_not(trunk: nn.Module) -> str | None:
    """Say why a trunk's last map is not taken apart; None where it is."""
    if type(trunk) not in TRUNKS:
        return f"it is timm's {type(trunk).__name__}, whose parts are not known"
    head = cast(Any, trunk).head
    if not isinstance(head, NormMlpClassifierHead | ClassifierHead):
        return f"its head is timm's {type(head).__name__}, which is not known"
    if not isinstance(getattr(head, "pre_logits", nn.Identity()), nn.Identity):
        return "an MLP stands between its last map and its output"
    if not isinstance(head.global_pool, SelectAdaptivePool2d) or head.global_pool.pool_type not in (
        "avg",
        "fast",
        "fastavg",
    ):
        return f"it pools its last map by {getattr(head.global_pool, 'pool_type', 'nothing')!r}, not the mean"
    norm = getattr(head, "norm", None)
    if norm is not None and not isinstance(norm, nn.Identity | nn.LayerNorm):
        return f"its last norm is of class {type(norm).__name__}, not LayerNorm"
    return None
