"""The view of where in each image the neurons of a module are active."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from ...store.errors import BadSource, UnsuitableModule
from ...store.sets import ImageSet, Model
from ...store.views import Array, Axis, Input, Member, Param, Parts
from ..kinds import ModulePass
from ..neurons import pooling
from ..neurons.pooled import NEURONS, refuse_infinite
from .neuron_activations import NeuronActivations

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class ActivationMaps(ModulePass):
    """What each neuron of a module gives at each position of each image, without a class token.

    `module` gives "neuron y x", or "token neuron" whose tokens are a square, with a class token first or
    without. The map is of what the model sees: of the picture as its preprocessing cuts it. Eight images are
    a unit, so that maps are made of those that are asked for.
    """

    model: Input[Model]
    images: Input[ImageSet]
    module: Param[str]
    """The dotted name of a module that runs once while an image goes through."""
    channels: Param[Literal["auto", "first", "last"]] = "auto"
    """Where the neurons are: first of "neuron y x" and last of "token neuron", unless this says otherwise."""
    dtype: Param[Literal["float32", "float16"]] = "float32"
    """The data type of what is kept."""
    block: ClassVar[int] = 8

    def __post_init__(self) -> None:
        """Refuse a module that is not there, or whose output has no positions."""
        _ = NeuronActivations(self.model, self.images, self.module, channels=self.channels)
        try:
            pooling.map_side(self._shape, self.channels)
        except ValueError as error:
            hint = "neurons without a map have activations only; take a module further down"
            raise UnsuitableModule(self.module, str(error), hint) from error

    def constant(self) -> Mapping[str, str]:
        """Name the module."""
        return {"module": self.module}

    @property
    def _shape(self) -> tuple[int, ...]:
        return self.model.module(self.module).shape

    @property
    def dims(self) -> tuple[str, ...]:
        """Image, neuron, y, x."""
        return ("image", "neuron", "y", "x")

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of these axes."""
        neurons, _ = pooling.layout(self._shape, self.channels)
        return (len(self.images), neurons, *pooling.map_side(self._shape, self.channels))

    def members(self) -> tuple[Member, ...]:
        """The maps."""
        _, neurons, height, width = self.shape
        inner = (self.block, min(NEURONS, neurons), height, width)
        return (Member("map", self.dims, self.shape, self.dtype, inner),)

    def collect(self, output: Tensor) -> Mapping[str, Array]:
        """Take the maps; `ArithmeticError` where they are not finite, `BadSource` where sizes differ."""
        axis = self.model.module(self.module).image_axis
        found = pooling.maps(output, axis, self.channels).cpu().numpy().copy()
        if found.shape[1:] != self.shape[1:]:
            sides = [" × ".join(map(str, each)) for each in (found.shape[2:], self.shape[2:])]
            raise BadSource(
                f"module {self.module} gave maps of {sides[0]}, and {sides[1]} when its model was added: "
                "maps need a preprocessing that gives all pictures one size"
            )
        refuse_infinite(found, self.module)
        return {"map": found}

    def show(self, parts: Parts, selection: tuple[Axis, ...]) -> Array:
        """Give the maps, in float32."""
        return parts.array(self, "map", selection).astype(np.float32, copy=False)
