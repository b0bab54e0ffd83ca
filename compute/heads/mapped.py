"""A tower's fixed maps as they are kept, and what the contribution views of a tower share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from ...store.grid import Grid
from ...store.sets import TowerShape
from ...store.views import Array, ArrayView, Axis, Member, Parts, View
from ..kinds import OfTower
from .conventions import Convention

if TYPE_CHECKING:
    from ..towers.trace import Constants


class Maps(OfTower):
    """One matrix per head that turns its stored factor into its contribution, and a few vectors."""

    @property
    def grid(self) -> Grid:
        """One unit: all layers."""
        return Grid(self.tower.layers, self.tower.layers)

    @property
    def dims(self) -> tuple[str, ...]:
        """Layer, head, joint, head_dim."""
        return ("layer", "head", "joint", "head_dim")

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of these axes."""
        size = self.tower
        return (size.layers, size.heads, size.joint, size.head_dim)

    @property
    @abstractmethod
    def vectors(self) -> int:
        """How many vectors of the whole tower there are."""

    @abstractmethod
    def pack(self, constants: Constants) -> Array:
        """Lay the vectors of the whole tower out, "vector joint"."""

    @abstractmethod
    def unpack(self, vectors: Array) -> Mapping[str, Array | float]:
        """Give the vectors of the whole tower by the names that `Constants` has for them."""

    def members(self) -> tuple[Member, ...]:
        """The matrices, and what else is constant; vectors of the whole tower are repeated in each layer.

        Where contributions are kept themselves, each matrix is the identity, and none is kept.
        """
        layers, heads, joint, width = self.shape

        def member(name: str, dims: tuple[str, ...], *rest: int) -> Member:
            return Member(name, ("layer", *dims), (layers, *rest), "float32", (1, *rest))

        head_map = member("head_map", ("head", "joint", "head_dim"), heads, joint, width)
        return (
            *(() if self.tower.dense else (head_map,)),
            member("head_mean", ("head", "head_dim"), heads, width),
            member("attn_bias", ("joint",), joint),
            member("attn_bias_mean", ()),
            member("tower", ("vector", "joint"), self.vectors, joint),
        )

    def extract(self, constants: Constants) -> Mapping[str, Array]:
        """Take the maps."""
        vectors = self.pack(constants)
        return {
            **({} if self.tower.dense else {"head_map": constants.head_map}),
            "head_mean": constants.head_mean,
            "attn_bias": constants.attn_bias,
            "attn_bias_mean": constants.attn_bias_mean,
            "tower": np.broadcast_to(vectors, (self.tower.layers, *vectors.shape)),
        }

    def show(self, parts: Parts, selection: tuple[Axis, ...]) -> Array:
        """Give the matrices as they are kept; identities where contributions are kept themselves."""
        if not self.tower.dense:
            return parts.array(self, "head_map", selection)
        layers, heads, joint, width = selection
        maps = np.eye(self.tower.joint, dtype=np.float32)[joint][:, width]
        size = (len(np.arange(self.shape[0])[layers]), len(np.arange(self.shape[1])[heads]))
        return np.array(np.broadcast_to(maps, (*size, *maps.shape)))

    def constants(self, parts: Parts) -> Constants:
        """Give what `compute.heads.conventions` multiplies with; read once and remembered."""
        return parts.once(self.units[0].key, lambda: self._read(parts))

    def _read(self, parts: Parts) -> Constants:
        from ..towers.trace import Constants

        named = self.unpack(parts.array(self, "tower", (slice(0, 1),))[0])
        if self.tower.dense:
            identity = np.eye(self.tower.joint, dtype=np.float32)
            head_map = np.broadcast_to(identity, self.shape)
        else:
            head_map = _joint_innermost(parts.array(self, "head_map"))
        return Constants(
            shape=self.tower,
            head_map=head_map,
            head_mean=parts.array(self, "head_mean"),
            attn_bias=parts.array(self, "attn_bias"),
            attn_bias_mean=parts.array(self, "attn_bias_mean"),
            **named,  # type: ignore[arg-type]  # arrays and one float, by their names
        )


class Mapped(ArrayView):
    """An array of factors that a read multiplies with a tower's fixed maps, under either convention."""

    convention: Convention

    @property
    @abstractmethod
    def tower(self) -> TowerShape:
        """The sizes of the tower."""

    @property
    @abstractmethod
    def maps(self) -> Maps:
        """The matrices and constants by which the factors are multiplied."""

    def companions(self) -> tuple[View, ...]:
        """List the tower's maps."""
        return (self.maps,)


def _joint_innermost(maps: Array) -> Array:
    """Lay the maps out in memory as products with them want it: about twice as fast for few images."""
    return np.ascontiguousarray(maps.swapaxes(-1, -2)).swapaxes(-1, -2)
