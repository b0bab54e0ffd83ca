"""Towers whose last stage is a map: what each place and each block of its channels adds to the embedding.

Convolutions before the map have no heads, and what they write passes activations that are not linear; but the
embedding is linear in the last map once the last norm's deviation is held. A block of channels stands in a
head's place, a place of the map in a token's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Self, cast

import numpy as np
import torch
from timm.layers.adaptive_avgmax_pool import SelectAdaptivePool2d
from timm.layers.classifier import ClassifierHead, NormMlpClassifierHead
from timm.models.convnext import ConvNeXt
from timm.models.fastvit import FastVit
from timm.models.swin_transformer import SwinTransformer
from torch import Tensor, nn

from ...store.errors import UnsupportedTower
from ...store.sets import TowerShape
from .blocks import on_input
from .pools import NormPool
from .rows import evaluating, on_host
from .tower import Tower
from .trace import Array, Constants, Trace

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
        read, bias, own = self.pool.reader()
        if self.pool.norm is not None:
            read = read - read.mean(axis=1, keepdims=True)
        return of_last(self.shape, read, bias, own)


def of_last(shape: TowerShape, read: Array | Any, bias: Array | Any, own: Array | Any | None) -> Constants:
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
        bias=np.asarray(bias, np.float32),
        projection_bias=None if own is None else np.asarray(own, np.float32),
    )


class MapTracing:
    """Watches a tower while a `with` block lasts; called with a batch of images, it traces them."""

    def __init__(self, tower: MapTower) -> None:
        """Take a tower."""
        self._tower, self.shape = tower, tower.shape
        self._hooks: ExitStack | None = None
        self._map: Tensor | None = None

    def __enter__(self) -> Self:
        self._hooks = ExitStack()
        self._hooks.callback(on_input(self._tower.pool.given, partial(setattr, self, "_map")).remove)
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
        tower, pool = self._tower, self._tower.pool
        with torch.inference_mode(), evaluating(tower.module):
            device = next(tower.module.parameters()).device
            output = tower.run(inputs.to(device)).float()
            last, self._map = cast(Tensor, self._map).float(), None
            places = last.flatten(1, 2) if tower.channels_last else last.flatten(2).transpose(1, 2)
            entering = places if pool.norm is None or pool.norm_first else places.mean(dim=1)
            weights = pool.weigh({"last": entering, "entry": places})
            counted = weights.tokens.transpose(1, 2) * places
            norm = output.norm(dim=-1)
            by_block = counted.view(*counted.shape[:2], self.shape.heads, self.shape.head_dim)
            patch, patch_mean = self._patches(counted) if patches else (None, None)
            empty = torch.zeros((len(output), 0, self.shape.joint), device=device)
            return Trace(
                factor=on_host(by_block.sum(dim=1)[:, None]),
                token_factor=on_host(by_block.transpose(1, 2)[:, None]) if tokens else None,
                class_factor=None,
                mlp=on_host(empty),
                mlp_mean=on_host(empty[:, :, 0]),
                sigma=on_host(weights.sigma),
                mu=on_host(weights.mu),
                norm=on_host(norm),
                embedding=on_host(output / norm[:, None]),
                patch=patch,
                patch_mean=patch_mean,
            )

    def _patches(self, counted: Tensor) -> tuple[Array, Array]:
        pool = self._tower.pool
        read, _, _ = pool.reader()
        mean = counted.mean(dim=-1)
        centred = counted if pool.norm is None else counted - mean[..., None]
        return on_host(centred @ torch.from_numpy(read.T).to(centred)), on_host(mean)


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
