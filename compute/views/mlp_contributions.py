"""The view of what each MLP adds to each image's embedding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ...store.sets import ImageSet, Model
from ...store.views import Array, Axis, Input, Member, Parts, Read
from .. import conventions, scalars
from ..conventions import Convention
from ..mapped import MappedPass

if TYPE_CHECKING:
    from ..towers.trace import Trace


@dataclass(frozen=True)
class MlpContributions(MappedPass):
    """What each MLP adds to each image's embedding, at the class token.

    Kept projected to the joint space, with the mean of each MLP's output, so that both conventions are
    read from it (Gandelsman et al. 2024, appendix A.1; `compute/conventions.py`).
    """

    model: Input[Model]
    images: Input[ImageSet]
    convention: Read[Convention] = "own"
    """How ln_post's mean and the biases are shared out: `own`, or as the published code does it."""
    columns: ClassVar[Mapping[str, str]] = {
        "image_id": "int64",
        "layer": "int32",
        "vector": "list[float32]",
    }

    @property
    def dims(self) -> tuple[str, ...]:
        """Image, layer, joint."""
        return ("image", "layer", "joint")

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of these axes."""
        return (len(self.images), self.model.shape.layers, self.model.shape.joint)

    def members(self) -> tuple[Member, ...]:
        """The projected outputs, their means, and the scalars of each image."""
        images, layers, joint = self.shape
        return (
            Member("projected", self.dims, self.shape, "float32", (64, 1, joint)),
            Member("mean", ("image", "layer"), (images, layers), "float32", (64, layers)),
            scalars.member(images, self.block),
        )

    def collect(self, trace: Trace) -> Mapping[str, Array]:
        """Take the projected outputs, their means and the scalars."""
        return {"projected": trace.mlp, "mean": trace.mlp_mean, "scalars": scalars.collect(trace)}

    def show(self, parts: Parts, selection: tuple[Axis, ...]) -> Array:
        """Scale the outputs, and share out the mean and the bias."""
        images, layers, joint = selection
        projected = parts.array(self, "projected", (images, layers, joint))
        mean = parts.array(self, "mean", (images, layers))
        constants = self.maps.constants(parts).select(layers, joint=joint)
        scale = scalars.read(self, parts, images)
        return conventions.mlps(projected, mean, *scale, constants, self.convention)
