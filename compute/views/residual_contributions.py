"""The view of all that is neither a head nor an MLP, so that the sum is whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ...store.sets import ImageSet, Model
from ...store.views import Array, Axis, Coord, Input, Member, Parts, Read
from .. import conventions, scalars
from ..conventions import Convention
from ..mapped import MappedPass

if TYPE_CHECKING:
    from ..towers.trace import Trace


@dataclass(frozen=True)
class ResidualContributions(MappedPass):
    """All other terms by name, `coords["term"]`: heads, MLPs and these sum to the unit-norm embedding.

    Under `own`: embedding, attn_bias[l] of each layer, ln_post_bias. Under `clip_prs`: the embedding
    alone. With class-token pooling each is a constant at an image's scale, so only the scale is kept.
    """

    model: Input[Model]
    images: Input[ImageSet]
    convention: Read[Convention] = "own"
    """How ln_post's mean and the biases are shared out: `own`, or as the published code does it."""
    columns: ClassVar[Mapping[str, str]] = {
        "image_id": "int64",
        "term": "string",
        "vector": "list[float32]",
    }

    @property
    def dims(self) -> tuple[str, ...]:
        """Image, term, joint."""
        return ("image", "term", "joint")

    @property
    def terms(self) -> tuple[str, ...]:
        """The names along the axis `term`."""
        return conventions.residual_terms(self.model.shape, self.convention)

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of these axes."""
        return (len(self.images), len(self.terms), self.model.shape.joint)

    def coords(self) -> Mapping[str, Coord]:
        """The names of the terms."""
        return {"term": self.terms}

    def members(self) -> tuple[Member, ...]:
        """The scalars of each image."""
        return (scalars.member(len(self.images), self.block),)

    def collect(self, trace: Trace) -> Mapping[str, Array]:
        """Take the scalars."""
        return {"scalars": scalars.collect(trace)}

    def show(self, parts: Parts, selection: tuple[Axis, ...]) -> Array:
        """Scale the constant directions."""
        images, terms, joint = selection
        constants = self.maps.constants(parts).select(joint=joint)
        scale = scalars.read(self, parts, images)
        every = conventions.residual(*scale, constants, self.convention)
        return every[:, terms]
