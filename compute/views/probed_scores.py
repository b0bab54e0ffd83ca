"""The view of how well each candidate label fits its neuron, told without painting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from scipy.stats import rankdata

from ...store import digest
from ...store.errors import UnsuitableModule
from ...store.grid import Grid
from ...store.sets import Clip
from ...store.views import Array, Input, Parts, TableView, Unit
from ..kinds import Assisted, Made
from .image_embeddings import ImageEmbeddings
from .label_candidates import LabelCandidates
from .neuron_activations import NEURONS

if TYPE_CHECKING:
    from ..aids import Aids

SCORE = "probing_auroc"


@dataclass(frozen=True)
class ProbedScores(Assisted, TableView):
    """How well each candidate's text tells a neuron's top images from all others of the set.

    `score` is the area under the receiver operating characteristic of the cosines between the text and the
    images, by the `clip` model, with the neuron's top images as the positives; 0.5 is chance. It takes the
    place of painted pictures, and no picture is painted for it.
    """

    candidates: Input[LabelCandidates]
    pictures: Input[ImageEmbeddings]
    bound: ClassVar[Mapping[str, str]] = {"pictures": "clip"}
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
        images = np.nan_to_num(parts.array(self.pictures, "embedding").astype(np.float32))
        return {unit.key: Made(rows=self._rows(unit, parts, aids, images)) for unit in units}

    def _rows(self, unit: Unit, parts: Parts, aids: Aids, images: Array) -> dict[str, list[Any]]:
        rows = parts.rows(self.candidates.units[unit.start]).to_pylist()
        concepts = sorted({row["candidate"] for row in rows if row["candidate"]})
        seen = self.candidates.captions.exemplars.seen
        top = [image_id for _, image_id, _ in seen.shown(seen.units[unit.start], parts)]
        scored: list[tuple[float, str]] = []
        if concepts and 0 < len(top) < len(images):
            cosines = aids.text_embeddings(self.clip, concepts) @ images.T
            scored = sorted((-_auroc(each, top), text) for each, text in zip(cosines, concepts, strict=True))
        found: dict[str, list[Any]] = {name: [] for name in self.columns}
        for position, (score, concept) in enumerate(scored):
            values = (seen.top.activations.module, unit.start, concept, position, -score, SCORE)
            for name, value in zip(self.columns, values, strict=True):
                found[name].append(value)
        return found


def _auroc(values: Array, positives: Sequence[int]) -> float:
    """Give the share of pairs of a positive and another in which the positive has the larger value."""
    ranks = rankdata(values, method="average")
    ours, others = len(positives), len(values) - len(positives)
    return float((ranks[list(positives)].sum() - ours * (ours + 1) / 2) / (ours * others))
