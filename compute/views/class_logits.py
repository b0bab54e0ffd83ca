"""The view of how like each class each image is, or what chosen heads say to that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ...store import digest
from ...store.grid import Grid
from ...store.views import Array, ArrayView, Axis, Coord, Input, Member, Parts, Unit
from ..kinds import Derived, Made
from .chosen_contributions import IMAGES, INNER, ChosenContributions
from .class_embeddings import ClassEmbeddings
from .image_embeddings import ImageEmbeddings


@dataclass(frozen=True)
class ClassLogits(Derived, ArrayView):
    """How like each class each image is: the cosine of the two embeddings, before CLIP's temperature.

    With `heads`, a condition, the part of it that these heads add: the inner product of their summed
    contributions with the class's embedding. Parts of sets of heads without a head in common add up, and
    with those of MLPs and the residual they are the whole (Gandelsman et al. 2024, section 3.1).
    """

    classes: Input[ClassEmbeddings]
    embeddings: Input[ImageEmbeddings]
    chosen: Input[ChosenContributions]
    axis: ClassVar[str] = "image"
    columns: ClassVar[Mapping[str, str]] = {
        "heads": "string",
        "image_id": "int64",
        "class": "string",
        "logit": "float32",
    }

    @property
    def grid(self) -> Grid:
        """Blocks of 4,096 images."""
        return Grid(len(self.embeddings.images), IMAGES)

    @property
    def dims(self) -> tuple[str, ...]:
        """Image, class."""
        return ("image", "class")

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of these axes."""
        return (len(self.embeddings.images), len(self.classes.classes))

    def constant(self) -> Mapping[str, str]:
        """Name the condition."""
        return self.chosen.constant()

    def coords(self) -> Mapping[str, Coord]:
        """Name the classes."""
        return self.classes.coords()

    def members(self) -> tuple[Member, ...]:
        """The logits."""
        return (Member("logit", self.dims, self.shape, "float32", (INNER, self.shape[1])),)

    def needs(self, index: int) -> Sequence[Unit]:
        """List the classes, and what is kept of a unit's images."""
        if self.chosen.heads is None:
            return (*self.classes.units, *self.embeddings.covering(*self.grid.span(index)))
        return (*self.classes.units, self.chosen.units[index])

    def contents(self, start: int, stop: int) -> str:
        """Give the digest of the keys of all these."""
        return digest.of_sequence(unit.key for unit in self.needs(start // IMAGES))

    def derive(self, unit: Unit, parts: Parts) -> Made:
        """Multiply the images of one unit with all classes."""
        classes = parts.array(self.classes, "embedding").astype(np.float64)
        images = (slice(unit.start, unit.stop),)
        if self.chosen.heads is None:
            seen = parts.array(self.embeddings, "embedding", images)
        else:
            seen = parts.array(self.chosen, "vector", images)
        absent = np.flatnonzero(np.isnan(seen).any(axis=1))
        return Made(
            arrays={"logit": (seen.astype(np.float64) @ classes.T).astype(np.float32)},
            absent={int(row): "the image could not be read" for row in absent},
        )

    def show(self, parts: Parts, selection: tuple[Axis, ...]) -> Array:
        """Give the logits as they are kept."""
        return parts.array(self, "logit", selection)
