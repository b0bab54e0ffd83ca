"""The view of what an MLP's neurons add to each image's embedding through the heads that read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from ...store.sets import ImageSet, Model
from ...store.views import Array, Axis, Input, Member, Param, Parts, View
from ..heads import scalars, second_order
from ..kinds import TowerPass
from ..models import mlp_layers
from .second_order_maps import SecondOrderMaps
from .tower_maps import TowerMaps

if TYPE_CHECKING:
    from ..towers.trace import Trace

NEURONS = 256
"""Neurons of one inner chunk."""


@dataclass(frozen=True)
class SecondOrderEffects(TowerPass):
    """What each neuron of a layer's MLP adds to each image's embedding through all later heads.

    The sum over later layers and heads, with attention and norms held at what they were, each part centred
    by its own mean (convention `own`). Kept as one number per image, later head and neuron, and multiplied on
    read with `second_order_maps` and `tower_maps` (Gandelsman et al. 2025, section 3). A unit is 16 images.
    """

    model: Input[Model]
    images: Input[ImageSet]
    layer: Param[int]
    """The layer of the MLP; negative ones count from the end. The last has no heads after it."""
    dtype: Param[Literal["float32", "float16"]] = "float32"
    """The data type of the kept factors; float16 takes half the room."""
    block: ClassVar[int] = 16
    columns: ClassVar[Mapping[str, str]] = {
        "module": "string",
        "image_id": "int64",
        "neuron": "int32",
        "vector": "list[float32]",
    }

    def __post_init__(self) -> None:
        """Refuse a model without a tower that is taken apart, and a layer that no head stands after."""
        object.__setattr__(self, "layer", mlp_layers.checked(self.model, self.layer))

    def constant(self) -> Mapping[str, str]:
        """Name the module that gives the neurons."""
        return {"module": mlp_layers.module(self.model, self.layer)}

    @property
    def neurons(self) -> tuple[int, ...]:
        """The layer."""
        return (self.layer,)

    @property
    def maps(self) -> SecondOrderMaps:
        """What each later head makes of each neuron."""
        return SecondOrderMaps(self.model, self.layer)

    def companions(self) -> tuple[View, ...]:
        """List the neurons' maps and the tower's."""
        return (self.maps, TowerMaps(self.model))

    @property
    def dims(self) -> tuple[str, ...]:
        """Image, neuron, joint."""
        return ("image", "neuron", "joint")

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of these axes."""
        return (len(self.images), mlp_layers.width(self.model, self.layer), self.tower.joint)

    def members(self) -> tuple[Member, ...]:
        """The factors, and the scalars of each image."""
        images, neurons, _ = self.shape
        later, heads = self.maps.shape[:2]
        shape, inner = (images, later, heads, neurons), (1, later, heads, min(NEURONS, neurons))
        factor = Member("factor", ("image", "later", "head", "neuron"), shape, self.dtype, inner)
        return (factor, scalars.member(images, self.block))

    def collect(self, trace: Trace) -> Mapping[str, Array]:
        """Take what the later heads read of the neurons, and the scalars."""
        if trace.neuron_factor is None:
            raise ValueError("the pass was run without neurons")
        return {"factor": trace.neuron_factor[self.layer], "scalars": scalars.collect(trace)}

    def show(self, parts: Parts, selection: tuple[Axis, ...]) -> Array:
        """Multiply the factors out."""
        images, neurons, joint = selection
        factor, scale = self.factors(parts, images, neurons)
        head_map, value_map = self.read_maps(parts, neurons, joint)
        return second_order.effects(factor, scale, head_map, value_map)

    def factors(self, parts: Parts, images: Axis, neurons: Axis) -> tuple[Array, Array]:
        """Read float32 factors "image later head neuron" and 1/(sigma n), "image"."""
        whole = slice(None)
        factor = parts.array(self, "factor", (images, whole, whole, neurons))
        kept = scalars.read(self, parts, images)
        return factor.astype(np.float32, copy=False), np.reciprocal(kept.sigma * kept.norm)

    def read_maps(self, parts: Parts, neurons: Axis, joint: Axis = slice(None)) -> tuple[Array, Array]:
        """Read the maps of the later heads, "later head joint head_dim", and of neurons."""
        later: Any = slice(self.layer + 1, None)
        constants = TowerMaps(self.model).constants(parts).select(later, joint=joint)
        whole = slice(None)
        return constants.head_map, parts.array(self.maps, "value_map", (whole, whole, neurons))
