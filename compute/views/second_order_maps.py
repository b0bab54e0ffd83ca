"""The fixed vectors that turn stored factors of neurons into their second-order effects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ...store.grid import Grid
from ...store.sets import Model
from ...store.views import Array, Axis, Input, Member, Param, Parts
from ..kinds import OfWeights
from ..models.mlp_layers import checked, width

if TYPE_CHECKING:
    from ..models.loaded import Loaded


@dataclass(frozen=True)
class SecondOrderMaps(OfWeights):
    """What each later head makes of each neuron of an MLP where that gives 1: W_V^h diag(g1) C w_n.

    Each is head_dim numbers, which the head's matrix in `tower_maps` takes to the joint space. Later layers
    count from 0: the first is the one after `layer` (Gandelsman et al. 2025, section 3).
    """

    model: Input[Model]
    layer: Param[int]
    """The layer of the MLP whose neurons these are; the last has no heads after it."""
    axis: ClassVar[str] = "later"

    def __post_init__(self) -> None:
        """Refuse a model without a tower that is taken apart, and a layer that no head stands after."""
        object.__setattr__(self, "layer", checked(self.model, self.layer))

    @property
    def grid(self) -> Grid:
        """One unit: all later layers."""
        return Grid(self.shape[0], self.shape[0])

    @property
    def dims(self) -> tuple[str, ...]:
        """Later layer, head, neuron, head_dim."""
        return ("later", "head", "neuron", "head_dim")

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of these axes."""
        size = self.tower
        return (size.layers - 1 - self.layer, size.heads, width(self.model, self.layer), size.head_dim)

    def members(self) -> tuple[Member, ...]:
        """The vectors."""
        _, heads, neurons, head_dim = self.shape
        inner = (1, heads, min(256, neurons), head_dim)
        return (Member("value_map", self.dims, self.shape, "float32", inner),)

    def take(self, loaded: Loaded) -> Mapping[str, Array]:
        """Multiply them out of the weights."""
        from ..towers.neurons import value_maps

        return {"value_map": value_maps(loaded.side, self.layer)}

    def show(self, parts: Parts, selection: tuple[Axis, ...]) -> Array:
        """Give the vectors as they are kept."""
        return parts.array(self, "value_map", selection)
