"""The view of classes as a model embeds them: the weights of a zero-shot classifier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import shorten
from typing import ClassVar

import numpy as np

from ...store import digest
from ...store.errors import BadSelection, NoDirection
from ...store.grid import Grid
from ...store.views import Array, ArrayView, Axis, Coord, Input, Member, Parts, Unit
from ..kinds import Derived, Made
from .text_embeddings import TextEmbeddings


@dataclass(frozen=True)
class ClassEmbeddings(Derived, ArrayView):
    """Each class of a text set at unit norm: the mean of its texts' unit-norm embeddings.

    A class is a category of the texts, or a text that has none; classes stand in the order of their first
    texts. An image's zero-shot class is the one whose embedding has the largest inner product with its own
    (Radford et al. 2021, "Learning Transferable Visual Models From Natural Language Supervision", section
    3.1.4: prompt ensembling in the embedding space).
    """

    embeddings: Input[TextEmbeddings]
    axis: ClassVar[str] = "class"
    columns: ClassVar[Mapping[str, str]] = {"class": "string", "vector": "list[float32]"}

    @property
    def classes(self) -> Mapping[str, Sequence[int]]:
        """The texts of each class by their places."""
        return self.embeddings.texts.classes

    @property
    def grid(self) -> Grid:
        """One unit: all classes."""
        return Grid(len(self.classes), len(self.classes))

    @property
    def dims(self) -> tuple[str, ...]:
        """Class, joint."""
        return ("class", "joint")

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of these axes."""
        return (len(self.classes), self.embeddings.shape[1])

    def coords(self) -> Mapping[str, Coord]:
        """Name the classes."""
        return {"class": tuple(self.classes)}

    def members(self) -> tuple[Member, ...]:
        """The embeddings."""
        return (Member("embedding", self.dims, self.shape, "float32", self.shape),)

    def needs(self, index: int) -> Sequence[Unit]:
        """List the embeddings of all texts."""
        return self.embeddings.units

    def contents(self, start: int, stop: int) -> str:
        """Give the digest of the texts' embeddings, and of which of them are of one class."""
        classes = (",".join(map(str, places)) for places in self.classes.values())
        return digest.of_sequence([*(unit.key for unit in self.embeddings.units), *classes])

    def derive(self, unit: Unit, parts: Parts) -> Made:
        """Average the embeddings of each class; `BadSelection` where the model could not read a text."""
        owner = np.empty(self.embeddings.shape[0], np.intp)
        for number, places in enumerate(self.classes.values()):
            owner[list(places)] = number
        mean = np.zeros(self.shape)
        unread: list[int] = []
        for each in self.embeddings.units:
            texts = slice(each.start, each.stop)
            read = parts.array(self.embeddings, "embedding", (texts,)).astype(np.float64)
            unread += (each.start + np.flatnonzero(np.isnan(read).any(axis=1))).tolist()
            np.add.at(mean, owner[texts], read)
        if unread:
            text = shorten(self.embeddings.texts.texts[unread[0]], 80, placeholder=" …")
            raise BadSelection(
                f"{len(unread)} of the classes' texts are longer than {self.embeddings.model.name!r} reads, "
                f"the first {text!r}; shorten them, and add the texts again (--replace)"
            )
        mean /= np.array([[len(places)] for places in self.classes.values()])
        norms = np.linalg.norm(mean, axis=1)
        if not norms.all():
            raise NoDirection("classes", int((norms == 0).sum()), 0, len(norms))
        return Made(arrays={"embedding": (mean / norms[:, None]).astype(np.float32)})

    def show(self, parts: Parts, selection: tuple[Axis, ...]) -> Array:
        """Give the unit-norm embeddings."""
        return parts.array(self, "embedding", selection)
