"""The fixed matrices that turn stored factors of texts into contributions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from ...store.sets import Model
from ...store.views import Array, Input
from ..heads.mapped import Maps

if TYPE_CHECKING:
    from ..towers.trace import Constants


@dataclass(frozen=True)
class TextTowerMaps(Maps):
    """What turns the stored factor of a head of the text tower into its contribution: one matrix per head.

    `head_map[l, h]` is P^T diag(g) C W_O of the head, joint × head_dim, with g the weight of ln_final and P
    the text projection; as `tower_maps` has it of the vision tower.
    """

    model: Input[Model]
    side: ClassVar[Literal["image", "text"]] = "text"
    vectors: ClassVar[int] = 3

    def pack(self, constants: Constants) -> Array:
        """Lay out gain, the bias of all, and the projection's share of it, zero where there is none."""
        own = constants.projection_bias
        return np.stack(
            [constants.gain, constants.bias, np.zeros_like(constants.bias) if own is None else own]
        )

    def unpack(self, vectors: Array) -> Mapping[str, Array | float]:
        """Give gain and biases; what enters differs by text, and is no constant."""
        from ..towers.text_support import has_projection_bias

        gain, bias, own = vectors
        named: dict[str, Array | float] = {"gain": gain, "bias": bias, "embedding": np.zeros_like(bias)}
        named["embedding_mean"] = 0.0
        return named | ({"projection_bias": own} if has_projection_bias(self.model) else {})
