"""The view of a text set as the model embeds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ...store.sets import Model, TextSet
from ...store.views import Array, Axis, Input, Member, Parts
from ..kinds import TextPass


@dataclass(frozen=True)
class TextEmbeddings(TextPass):
    """Each text as the model embeds it, at unit norm."""

    model: Input[Model]
    texts: Input[TextSet]
    columns: ClassVar[Mapping[str, str]] = {
        "text_id": "int64",
        "vector": "list[float32]",
    }

    @property
    def dims(self) -> tuple[str, ...]:
        """Text, joint."""
        return ("text", "joint")

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of these axes."""
        return (len(self.texts), self.model.shape.joint)

    def members(self) -> tuple[Member, ...]:
        """The embeddings."""
        return (Member("embedding", self.dims, self.shape, "float32", (128, self.shape[1])),)

    def collect(self, features: Array) -> Mapping[str, Array]:
        """Bring the features to unit norm."""
        norms = np.linalg.norm(features, axis=1, keepdims=True)
        return {"embedding": features / norms}

    def show(self, parts: Parts, selection: tuple[Axis, ...]) -> Array:
        """Give the unit-norm embeddings."""
        return parts.array(self, "embedding", selection)
