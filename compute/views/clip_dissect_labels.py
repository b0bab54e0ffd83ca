"""The view of the texts that CLIP-Dissect gives to each neuron."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...store import digest
from ...store.errors import BadSource
from ...store.grid import Grid
from ...store.views import Array, Input, Param, Parts, Read, TableView, Unit
from ..kinds import BLOCK, Derived, Made
from ..neurons import similarity
from ..neurons.neuron_labels import COLUMNS, Label, rows
from ..neurons.neuron_state import NeuronState, State
from ..neurons.pooled import NEURONS
from ..neurons.similarity import Scored
from ..topk import TopK
from .image_embeddings import ImageEmbeddings
from .neuron_activations import NeuronActivations
from .text_embeddings import TextEmbeddings

KEPT = 20
"""Texts kept of each neuron."""
AT_ONCE = 8 * BLOCK
"""Images whose activations are read at once."""
SHARE, POWER, SCALE = 0.05, 3.0, 0.5
"""Of rank_reorder, as published: the share of the images, the power of an error, that of the mean cosine."""


@dataclass(frozen=True)
class ClipDissectLabels(Derived, TableView):
    """The texts that say best what excites each neuron, by a CLIP's similarities (CLIP-Dissect, 2023).

    `pictures` and `texts` are embeddings by a CLIP, which may be another model than the one whose neurons are
    labelled. `similarity` scores them (`compute/neurons/similarity.py`). A layer is one unit: the score of a
    neuron has the mean over all neurons of the layer taken off, and that of a text is a share among all
    texts, so neither a neuron nor a text can be scored alone. A text that is there twice counts once; of
    equal scores the first in the alphabet wins. Neurons that are dead, constant or tied among their `top_k`
    images get a status and no label, and count for nothing in the mean. `m` texts of each neuron are shown.
    """

    activations: Input[NeuronActivations]
    pictures: Input[ImageEmbeddings]
    texts: Input[TextEmbeddings]
    similarity: Param[
        Literal["soft_wpmi", "wpmi", "rank_reorder", "cos_similarity", "cos_similarity_cubed"]
    ] = "soft_wpmi"
    """How a text is scored; wpmi was published with top_k=28, a=2 and lam=0.6."""
    top_k: Param[int] = 100
    """Images at the top of a neuron that are looked at; rank_reorder takes 5 % of all."""
    a: Param[float] = 10.0
    """Sharpness of the softmax over texts, of soft_wpmi and wpmi."""
    lam: Param[float] = 1.0
    """Weight of what a text has in common for all neurons, of soft_wpmi and wpmi."""
    p_start: Param[float] = 0.998
    """How surely the first image counts, of soft_wpmi."""
    p_end: Param[float] = 0.97
    """Towards what that falls, of soft_wpmi."""
    m: Read[int] = 5
    """Texts of each neuron, at most 20."""
    bound: ClassVar[Mapping[str, str]] = {"pictures": "clip", "texts": "clip"}
    axis: ClassVar[str] = "neuron"
    keys: ClassVar[tuple[str, ...]] = ("module", "neuron")
    columns: ClassVar[Mapping[str, str]] = {**COLUMNS, "text_id": "int64"}

    def __post_init__(self) -> None:
        """Refuse parameters that mean nothing, and embeddings that do not belong together."""
        if not 1 <= self.m <= KEPT:
            raise BadSource(f"m={self.m}: from 1 to {KEPT} texts of each neuron are kept")
        if self.top_k < 1 or self.a <= 0:
            raise BadSource(f"top_k={self.top_k}, a={self.a}: top_k is from 1, and a above 0")
        if not 0 < self.p_end <= self.p_start <= 1:
            raise BadSource(f"p_start={self.p_start}, p_end={self.p_end}: 0 < p_end <= p_start <= 1")
        ours, theirs = self.activations.images, self.pictures.images
        if ours.all_contents != theirs.all_contents:
            raise BadSource(f"the activations are of {ours.name!r}, the embeddings of {theirs.name!r}")
        if self.pictures.model.identity("text") != self.texts.model.identity("text"):
            both = f"{self.pictures.model.name!r} and {self.texts.model.name!r}"
            raise BadSource(f"images and texts are embedded by two models, {both}; one space has both")

    @property
    def grid(self) -> Grid:
        """All neurons in one unit."""
        return Grid(self.activations.shape[1], self.activations.shape[1])

    def constant(self) -> Mapping[str, str]:
        """Name the module and the method."""
        return {**self.activations.constant(), "method": "clip_dissect"}

    def narrow(self, rows: pa.Table) -> pa.Table:
        """Show the first `m` texts of each neuron."""
        return rows.filter(pc.field("rank") < self.m)

    def needs(self, index: int) -> Sequence[Unit]:
        """List all activations, and all embeddings of images and of texts."""
        return (*self.activations.units, *self.pictures.units, *self.texts.units)

    def contents(self, start: int, stop: int) -> str:
        """Give the digest of all that the labels are made from."""
        return digest.of_sequence(unit.key for unit in self.needs(0))

    def derive(self, unit: Unit, parts: Parts) -> Made:
        """Find what excites each neuron, score all texts for all neurons, and keep the best."""
        layer = _Layer(self, parts)
        chosen, vectors = self._concepts(parts)
        best = similarity.best(self._scores(layer, vectors), KEPT) if len(layer.neurons) else {}
        known = self.texts.texts.texts
        labels = {
            int(layer.neurons[neuron]): [
                Label(known[chosen[text]], score, {"text_id": chosen[text]}) for text, score in found
            ]
            for neuron, found in best.items()
        }
        written = rows(
            self.activations.module, 0, "clip_dissect", self.similarity, layer.states, labels, ["text_id"]
        )
        counts = {"images": len(layer.images), "texts": len(chosen), "neurons": len(layer.neurons)}
        return Made(rows=written, facts=counts)

    def _concepts(self, parts: Parts) -> tuple[list[int], Array]:
        """Give the texts that are scored, each once and in the alphabet's order, and their embeddings."""
        vectors = parts.array(self.texts, "embedding")
        first: dict[str, int] = {}
        for place, text in enumerate(self.texts.texts.texts):
            if not np.isnan(vectors[place, 0]):
                first.setdefault(text, place)
        chosen = [first[text] for text in sorted(first)]
        if not chosen:
            raise BadSource(f"none of the texts of {self.texts.texts.name!r} could be embedded")
        return chosen, vectors[chosen]

    def _scores(self, layer: _Layer, texts: Array) -> Iterator[Scored]:
        count = len(layer.neurons)
        if self.similarity == "soft_wpmi":
            return similarity.soft_wpmi(
                layer.top,
                layer.images,
                texts,
                a=self.a,
                lam=self.lam,
                p_start=self.p_start,
                p_end=self.p_end,
            )
        if self.similarity == "wpmi":
            return similarity.wpmi(layer.top, layer.images, texts, a=self.a, lam=self.lam)
        if self.similarity == "rank_reorder":
            return similarity.rank_reorder(layer.top, layer.given, layer.images, texts, p=POWER, scale=SCALE)
        if self.similarity == "cos_similarity":
            return similarity.cos_similarity(layer.read, count, layer.images, texts)
        return similarity.cos_similarity_cubed(layer.read, count, layer.images, texts)

    def looked_at(self, images: int) -> int:
        """Give how many images at the top of a neuron are looked at."""
        wanted = int(SHARE * images) if self.similarity == "rank_reorder" else self.top_k
        return max(1, min(wanted, images))


class _Layer:
    """The neurons of a layer that can be labelled, and the images that both models could read."""

    def __init__(self, view: ClipDissectLabels, parts: Parts) -> None:
        self._activations, self._parts = view.activations, parts
        vectors = parts.array(view.pictures, "embedding")
        first = parts.array(view.activations, "activation", (slice(None), slice(0, 1)))
        there = ~(np.isnan(vectors[:, 0]) | np.isnan(first[:, 0]))
        self._there = np.flatnonzero(there)
        self.images: Array = vectors if there.all() else vectors[there]
        """The embeddings of these images, "image joint"."""
        self._k = view.looked_at(len(self._there))
        blocks = [self._looked_at(neurons) for neurons in _blocks(view.activations.shape[1], NEURONS)]
        self.states: list[State] = [state for states, _, _ in blocks for state in states]
        """The state of every neuron."""
        self.neurons: Array = np.flatnonzero([state == "ok" for state in self.states])
        """The neurons that can be labelled."""
        self.top: Array = np.concatenate([top for _, top, _ in blocks])
        """Their top images, counted among those that could be read: "neuron rank"."""
        self.given: Array = np.concatenate([given for _, _, given in blocks])
        """What they give for these."""

    def read(self, images: slice) -> Array:
        """Read what the neurons that can be labelled give for some images."""
        return self._parts.array(self._activations, "activation", (self._there[images], self.neurons))

    def _looked_at(self, neurons: slice) -> tuple[list[State], Array, Array]:
        """Give the states of a block of neurons, and the tops of those that are ok."""
        count = neurons.stop - neurons.start
        state, best = NeuronState(count, self._k), TopK(count, self._k)
        for some in _blocks(len(self._there), AT_ONCE):
            values = self._parts.array(self._activations, "activation", (self._there[some], neurons))
            state.add(values)
            best.add(values, np.arange(some.start, some.stop))
        states = state.found().states
        ok = [each == "ok" for each in states]
        _, _, given, rows = best.found()
        return states, rows.reshape(count, -1)[ok], given.reshape(count, -1)[ok]


def _blocks(length: int, step: int) -> Iterator[slice]:
    for start in range(0, length, step):
        yield slice(start, min(start + step, length))
