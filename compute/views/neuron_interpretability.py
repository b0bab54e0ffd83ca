"""The view of how much the pictures by which a neuron is described are alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ...store import digest
from ...store.grid import Grid
from ...store.sets import Clip
from ...store.views import Array, Input, Param, Parts, TableView, Unit
from ..kinds import Assisted, Made
from .neuron_exemplars import NeuronExemplars, shown_in

if TYPE_CHECKING:
    from ..running.aids import Aids


@dataclass(frozen=True)
class NeuronInterpretability(Assisted, TableView):
    """How alike the exemplars of each neuron are: the mean cosine of two of them, by the `clip` model.

    A neuron whose exemplars show one thing scores high (Describe-and-Dissect, Bai et al. 2024, appendix).
    Each pair of different exemplars counts once; as published each exemplar is compared with itself, too,
    which of n exemplars adds (1 − score) / n. A neuron with fewer than two exemplars has no score. Whether a
    neuron is dead, constant or tied stands in `neuron_statistics`.
    """

    exemplars: Input[NeuronExemplars]
    clip: Param[Clip]
    """The name of a registered model of images and texts."""
    diagonal: Param[bool] = False
    """Whether exemplars are compared with themselves, too, as published."""
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"default": {}, "paper": {"diagonal": True}}
    axis: ClassVar[str] = "neuron"
    columns: ClassVar[Mapping[str, str]] = {
        "module": "string",
        "neuron": "int32",
        "score": "float64",
        "n_exemplars": "int32",
    }

    @property
    def grid(self) -> Grid:
        """One neuron a unit."""
        return self.exemplars.grid

    def constant(self) -> Mapping[str, str]:
        """Name the module."""
        return self.exemplars.constant()

    def needs(self, index: int) -> Sequence[Unit]:
        """List the neuron's exemplars."""
        return (self.exemplars.units[index],)

    def contents(self, start: int, stop: int) -> str:
        """Give the digest of the neuron's exemplars."""
        return digest.of_sequence([self.exemplars.units[start].key])

    def assist(self, units: Sequence[Unit], parts: Parts, aids: Aids) -> Mapping[str, Made]:
        """Embed the exemplars of each neuron, as scoring its candidates does."""
        made = {}
        for unit in units:
            rows = parts.rows(self.exemplars.units[unit.start]).to_pylist()
            shown = [self.exemplars.picture(aids, shown_in(row)) for row in rows]
            score = (
                alike(aids.embeddings(self.clip, shown), diagonal=self.diagonal) if len(shown) > 1 else None
            )
            columns = {
                "module": [self.constant()["module"]],
                "neuron": [unit.start],
                "score": [score],
                "n_exemplars": [len(shown)],
            }
            made[unit.key] = Made(rows=columns)
        return made


def alike(vectors: Array, *, diagonal: bool) -> float:
    """Give the mean cosine of pairs of vectors, "exemplar joint" of unit norm; of two at least."""
    cosines = vectors.astype(np.float64) @ vectors.astype(np.float64).T
    count = len(vectors)
    if diagonal:
        return float(cosines.mean())
    return float((cosines.sum() - np.trace(cosines)) / (count * (count - 1)))
