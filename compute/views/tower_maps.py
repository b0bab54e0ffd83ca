"""The fixed matrices that turn stored factors into contributions, kept so that a read needs no model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ...store.grid import Grid
from ...store.sets import Model
from ...store.views import Array, Axis, Input, Member, Parts
from ..kinds import OfTower

if TYPE_CHECKING:
    from ..conventions import Convention
    from ..moments import Doubles
    from ..towers.trace import Constants


@dataclass(frozen=True)
class TowerMaps(OfTower):
    """What turns a head's stored factor into its contribution: one matrix per head, and a few vectors.

    `head_map[l, h]` is P^T diag(g) C W_O of the head, joint × head_dim, in the notation of Gandelsman et
    al. (2024), section 3, with C the centring matrix; the model's own biases are kept beside it.
    """

    model: Input[Model]
    version: ClassVar[int] = 2

    @property
    def grid(self) -> Grid:
        """One unit: all layers."""
        return Grid(self.model.shape.layers, self.model.shape.layers)

    @property
    def dims(self) -> tuple[str, ...]:
        """Layer, head, joint, head_dim."""
        return ("layer", "head", "joint", "head_dim")

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of these axes."""
        size = self.model.shape
        return (size.layers, size.heads, size.joint, size.head_dim)

    def members(self) -> tuple[Member, ...]:
        """The matrices, and what else is constant; vectors of the whole tower are repeated in each layer."""
        layers, heads, joint, width = self.shape

        def member(name: str, dims: tuple[str, ...], *rest: int) -> Member:
            return Member(name, ("layer", *dims), (layers, *rest), "float32", (1, *rest))

        return (
            member("head_map", ("head", "joint", "head_dim"), heads, joint, width),
            member("head_mean", ("head", "head_dim"), heads, width),
            member("attn_bias", ("joint",), joint),
            member("attn_bias_mean", ()),
            member("tower", ("vector", "joint"), 4, joint),
        )

    def extract(self, constants: Constants) -> Mapping[str, Array]:
        """Take the maps; `tower` holds embedding, its mean (repeated), gain and bias."""
        mean = np.full_like(constants.bias, constants.embedding_mean)
        vectors = np.stack([constants.embedding, mean, constants.gain, constants.bias])
        return {
            "head_map": constants.head_map,
            "head_mean": constants.head_mean,
            "attn_bias": constants.attn_bias,
            "attn_bias_mean": constants.attn_bias_mean,
            "tower": np.broadcast_to(vectors, (self.model.shape.layers, *vectors.shape)),
        }

    def show(self, parts: Parts, selection: tuple[Axis, ...]) -> Array:
        """Give the matrices as they are kept."""
        return parts.array(self, "head_map", selection)

    def constants(self, parts: Parts) -> Constants:
        """Give what `compute.conventions` multiplies with; read once and remembered."""
        return parts.once(self.units[0].key, lambda: self._read(parts))

    def joint_maps(self, parts: Parts, layer: int, convention: Convention) -> Doubles:
        """Give what turns s̃ of each head of a layer into its contribution; see `compute.moments`."""
        from ..moments import joint_maps

        constants = self.constants(parts)
        return joint_maps(
            constants.head_map[layer],
            constants.head_mean[layer],
            constants.attn_bias[layer],
            float(constants.attn_bias_mean[layer]),
            gain=constants.gain,
            bias=constants.bias,
            terms=constants.shape.components,
            convention=convention,
        )

    def _read(self, parts: Parts) -> Constants:
        from ..towers.trace import Constants

        embedding, mean, gain, bias = parts.array(self, "tower", (slice(0, 1),))[0]
        return Constants(
            shape=self.model.shape,
            head_map=_joint_innermost(parts.array(self, "head_map")),
            head_mean=parts.array(self, "head_mean"),
            attn_bias=parts.array(self, "attn_bias"),
            attn_bias_mean=parts.array(self, "attn_bias_mean"),
            embedding=embedding,
            embedding_mean=float(mean[0]),
            gain=gain,
            bias=bias,
        )


def _joint_innermost(maps: Array) -> Array:
    """Lay the maps out in memory as products with them want it: about twice as fast for few images."""
    return np.ascontiguousarray(maps.swapaxes(-1, -2)).swapaxes(-1, -2)
