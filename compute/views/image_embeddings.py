"""The view of whole-image embeddings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ...store.sets import ImageSet, Model
from ...store.views import Array, Axis, Coord, Input, Member, Parts
from ..kinds import TowerPass

if TYPE_CHECKING:
    from ..towers.trace import Trace


@dataclass(frozen=True)
class ImageEmbeddings(TowerPass):
    """Each image as the model embeds it, at unit norm; the norm that it had is `coords["norm"]`."""

    model: Input[Model]
    images: Input[ImageSet]
    columns: ClassVar[Mapping[str, str]] = {
        "image_id": "int64",
        "vector": "list[float32]",
    }

    @property
    def dims(self) -> tuple[str, ...]:
        """Image, joint."""
        return ("image", "joint")

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of these axes."""
        return (len(self.images), self.model.shape.joint)

    def coords(self) -> Mapping[str, Coord]:
        """The norms that the embeddings had, float32 "image"."""
        return {"norm": lambda parts: parts.array(self, "norm")}

    def members(self) -> tuple[Member, ...]:
        """The embeddings and their norms."""
        count, joint = self.shape
        return (
            Member("embedding", self.dims, self.shape, "float32", (64, joint)),
            Member("norm", ("image",), (count,), "float32", (64,)),
        )

    def collect(self, trace: Trace) -> Mapping[str, Array]:
        """Take the embedding and its norm."""
        return {"embedding": trace.embedding, "norm": trace.norm}

    def show(self, parts: Parts, selection: tuple[Axis, ...]) -> Array:
        """Give the unit-norm embeddings."""
        return parts.array(self, "embedding", selection)
