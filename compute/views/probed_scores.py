"""The view of how well each candidate label fits its neuron, told without painting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ...store import digest
from ...store.errors import UnsuitableModule
from ...store.grid import Grid
from ...store.sets import Clip
from ...store.views import Array, Input, Parts, TableView, Unit
from ..by_neuron import ByNeuron
from ..kinds import Assisted, Made
from ..neurons.pooled import NEURONS
from ..neurons.telling import auroc
from .image_embeddings import ImageEmbeddings
from .label_candidates import LabelCandidates

if TYPE_CHECKING:
    from ..running.aids import Aids

SCORE = "probing_auroc"


@dataclass(frozen=True)
class ProbedScores(Assisted, TableView):
    """How well each candidate's text tells a neuron's top images from all others of the set.

    `score` is the area under the receiver operating characteristic of the cosines between the text and the
    images, by the `clip` model, with the neuron's top images as the positives; 0.5 is chance. It takes the
    place of painted pictures, and no picture is painted for it. Images that cannot be read are left out. A
    text that is longer than the model reads has no score, and comes after those that have one. There is no
    row for a neuron of which all images are top images, or none is: nothing is left to tell apart.
    """

    candidates: Input[LabelCandidates]
    pictures: Input[ImageEmbeddings]
    bound: ClassVar[Mapping[str, str]] = {"pictures": "clip"}
    version: ClassVar[int] = 2
    axis: ClassVar[str] = "neuron"
    columns: ClassVar[Mapping[str, str]] = {
        "module": "string",
        "neuron": "int32",
        "concept": "string",
        "position": "int32",
        "score": "float64",
        "score_name": "string",
    }

    def __post_init__(self) -> None:
        """Refuse embeddings of other images than those that the neurons looked at."""
        ours = self.candidates.captions.exemplars.seen.top.activations
        if self.pictures.images.all_contents != ours.images.all_contents:
            raise UnsuitableModule(ours.module, "the images are not those that were embedded", "take one set")

    @property
    def clip(self) -> Clip:
        """The model that compares."""
        model = self.pictures.model
        assert isinstance(model, Clip)
        return model

    def params(self) -> dict[str, Any]:
        """Give the parameters, and among them the model that compares: its words count, too."""
        return {**super().params(), "clip": self.clip}

    @property
    def grid(self) -> Grid:
        """One neuron a unit."""
        return self.candidates.grid

    def constant(self) -> Mapping[str, str]:
        """Name the module."""
        return self.candidates.constant()

    def needs(self, index: int) -> Sequence[Unit]:
        """List the neuron's candidates, its top images, and the embeddings of all images."""
        top = self.candidates.captions.exemplars.seen.top
        return (self.candidates.units[index], top.units[index // NEURONS], *self.pictures.units)

    def contents(self, start: int, stop: int) -> str:
        """Give the digest of the neuron's candidates and of all embeddings."""
        return digest.of_sequence([self.candidates.units[start].key, *(u.key for u in self.pictures.units)])

    def assist(self, units: Sequence[Unit], parts: Parts, aids: Aids) -> Mapping[str, Made]:
        """Compare the candidates of some neurons with all images, which are read once."""
        images = parts.array(self.pictures, "embedding").astype(np.float32)
        there = np.flatnonzero(~np.isnan(images).any(axis=1))
        return {unit.key: Made(rows=self._rows(unit, parts, aids, images, there)) for unit in units}

    def _rows(
        self, unit: Unit, parts: Parts, aids: Aids, images: Array, there: Array
    ) -> dict[str, list[Any]]:
        rows = parts.rows(self.candidates.units[unit.start]).to_pylist()
        concepts = sorted({row["candidate"] for row in rows if row["candidate"]})
        seen = self.candidates.captions.exemplars.seen
        top = [image_id for _, image_id, _ in seen.shown(unit.start, ByNeuron.beneath(parts))]
        inside = np.isin(there, top)
        told = concepts and 0 < inside.sum() < len(there)
        scored = self._scored(concepts, images[there], inside, aids) if told else []
        found: dict[str, list[Any]] = {name: [] for name in self.columns}
        for position, (concept, score) in enumerate(scored):
            values = (seen.top.activations.module, unit.start, concept, position, score, SCORE)
            for name, value in zip(self.columns, values, strict=True):
                found[name].append(value)
        return found

    def _scored(
        self, concepts: Sequence[str], images: Array, inside: Array, aids: Aids
    ) -> list[tuple[str, float | None]]:
        """Score concepts, the best first, and after them those that the model cannot read whole."""
        known: dict[str, float | None] = {}
        for concept in aids.whole(self.clip, concepts):
            cosines = images @ aids.text_embeddings(self.clip, [concept])[0]
            known[concept] = auroc(cosines[inside], cosines[~inside])
        best = sorted(known, key=lambda concept: (-(known[concept] or 0.0), concept))
        return [
            *((each, known[each]) for each in best),
            *((each, None) for each in concepts if each not in known),
        ]
