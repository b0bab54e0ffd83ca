"""The view of what each attention head adds to each image's embedding from each token."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from ...store.sets import ImageSet, Model
from ...store.views import Array, Axis, Input, Member, Param, Parts, Read
from .. import conventions, scalars
from ..conventions import Convention
from ..mapped import MappedPass

if TYPE_CHECKING:
    from ..towers.trace import Trace


@dataclass(frozen=True)
class TokenContributions(MappedPass):
    """What each head adds to each image's embedding from each token: c[i,l,h]; token 0 is the class token.

    Kept as factors α_i v_i of the class token's query, and multiplied on read as `head_contributions` is
    (Gandelsman et al. 2024, section 3.3); its sum over tokens is `head_contributions`. Every image takes as
    much room as its residual stream in all layers, so a unit is 8 images: fill those that you look at.
    """

    model: Input[Model]
    images: Input[ImageSet]
    dtype: Param[Literal["float32", "float16"]] = "float32"
    """The data type of the kept factors; float16 takes half the room."""
    convention: Read[Convention] = "own"
    """How ln_post's mean and the biases are shared out: `own`, or as the published code does it."""
    block: ClassVar[int] = 8
    tokens: ClassVar[bool] = True
    columns: ClassVar[Mapping[str, str]] = {
        "image_id": "int64",
        "layer": "int32",
        "head": "int32",
        "token": "int32",
        "vector": "list[float32]",
    }

    @property
    def dims(self) -> tuple[str, ...]:
        """Image, layer, head, token, joint."""
        return ("image", "layer", "head", "token", "joint")

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of these axes."""
        size = self.model.shape
        return (len(self.images), size.layers, size.heads, size.tokens, size.joint)

    def members(self) -> tuple[Member, ...]:
        """The factors, and the scalars of each image."""
        images, layers, heads, tokens, _ = self.shape
        width = self.model.shape.head_dim
        dims = ("image", "layer", "head", "token", "head_dim")
        shape = (images, layers, heads, tokens, width)
        factor = Member("factor", dims, shape, self.dtype, (1, 1, heads, tokens, width))
        return (factor, scalars.member(images, self.block))

    def collect(self, trace: Trace) -> Mapping[str, Array]:
        """Take the token factors and the scalars."""
        if trace.token_factor is None:
            raise ValueError("the pass was run without token factors")
        return {"factor": trace.token_factor, "scalars": scalars.collect(trace)}

    def show(self, parts: Parts, selection: tuple[Axis, ...]) -> Array:
        """Multiply the factors out."""
        images, layers, heads, tokens, joint = selection
        factor = parts.array(self, "factor", (images, layers, heads, tokens))
        constants = self.maps.constants(parts).select(layers, heads, joint)
        scale = scalars.read(self, parts, images)
        return np.asarray(conventions.tokens(factor, *scale, constants, self.convention))
