"""The view of each neuron's labels by Describe-and-Dissect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ...store.views import Input, Param
from ..neurons.labelling import Labelled
from .candidate_scores import CandidateScores
from .label_candidates import LabelCandidates


@dataclass(frozen=True)
class DescribedLabels(Labelled):
    """The best candidates of each neuron, and none of two that say the same.

    A label is left out whose text is nearer than `distinct` to that of a better one (Describe-and-Dissect,
    Bai et al. 2024, figure 26). A neuron that is dead, constant or tied, as `neuron_statistics` has it, has
    one row with that `status` and no label; so has one of which the language model gave nothing usable, or
    texts longer than the `clip` model reads (too_long), or the painter no picture (unpainted).
    `evidence` is the key of the neuron's unit of `candidate_scores`, from which `belvedere lineage` goes on.
    """

    scores: Input[CandidateScores]
    labels: Param[int] = 3
    """Labels of each neuron, at most."""
    distinct: Param[float] = 0.81
    """The largest cosine of the texts of two labels, by the same model as pictures are compared by."""
    version: ClassVar[int] = 2
    unscored: ClassVar[str] = "unpainted"
    method: ClassVar[str] = "describe_and_dissect"

    @property
    def candidates(self) -> LabelCandidates:
        """Where its labels are from."""
        return self.scores.images.candidates
