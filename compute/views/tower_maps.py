"""The fixed matrices that turn stored factors into contributions, kept so that a read needs no model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ...store.sets import Model
from ...store.views import Array, Input, Parts
from ..heads.mapped import Maps
from ..kinds import refuse_convention

if TYPE_CHECKING:
    from ..heads.conventions import Convention
    from ..heads.moments import Doubles
    from ..towers.trace import Constants


@dataclass(frozen=True)
class TowerMaps(Maps):
    """What turns a head's stored factor into its contribution: one matrix per head, and a few vectors.

    `head_map[l, h]` is P^T diag(g) C W_O of the head, joint × head_dim, in the notation of Gandelsman et
    al. (2024), section 3, with C the centring matrix; the model's own biases are kept beside it.
    """

    model: Input[Model]
    version: ClassVar[int] = 2

    @property
    def vectors(self) -> int:
        """Four, and a fifth where the projection has a bias of its own."""
        return 4 + self.tower.projection_bias

    def pack(self, constants: Constants) -> Array:
        """Lay out embedding, its mean (repeated), gain and bias, and the projection's share of it."""
        mean = np.full_like(constants.bias, constants.embedding_mean)
        own = [] if constants.projection_bias is None else [constants.projection_bias]
        return np.stack([constants.embedding, mean, constants.gain, constants.bias, *own])

    def unpack(self, vectors: Array) -> Mapping[str, Array | float]:
        """Give embedding, its mean, gain and bias, and the projection's share of it where it has one."""
        embedding, mean, gain, bias = vectors[:4]
        named = {"embedding": embedding, "embedding_mean": float(mean[0]), "gain": gain, "bias": bias}
        return named | ({"projection_bias": vectors[4]} if self.tower.projection_bias else {})

    def joint_maps(self, parts: Parts, layer: int, convention: Convention) -> Doubles:
        """Give what turns s̃ of each head of a layer into its contribution; see `compute.heads.moments`.

        Raises `UnsupportedTower` for a convention that the tower has not.
        """
        refuse_convention(self.model, convention)
        from ..heads.moments import joint_maps

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
