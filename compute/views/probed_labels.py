"""The view of each neuron's labels by Describe-and-Dissect without painting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ...store.views import Input, Param
from ..neurons.labelling import Labelled
from .label_candidates import LabelCandidates
from .probed_scores import ProbedScores


@dataclass(frozen=True)
class ProbedLabels(Labelled):
    """The best candidates of each neuron as Describe-and-Dissect finds them, scored without painting.

    Which texts fit is told on the images of the set (`probed_scores`); for the rest see `described_labels`.
    Where these are so few that all are top images the `status` is too_few_images.
    """

    scores: Input[ProbedScores]
    labels: Param[int] = 3
    """Labels of each neuron, at most."""
    distinct: Param[float] = 0.81
    """The largest cosine of the texts of two labels, by the same model as pictures are compared by."""
    version: ClassVar[int] = 2
    unscored: ClassVar[str] = "too_few_images"
    method: ClassVar[str] = "describe_and_probe"

    @property
    def candidates(self) -> LabelCandidates:
        """Where its labels are from."""
        return self.scores.candidates
