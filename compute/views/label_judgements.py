"""The view of how near labels are to what their neurons really are, by a registered judge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ...store.sets import Judge, References
from ...store.views import Param
from ..neurons.compared import Compared, Pair, Values

if TYPE_CHECKING:
    from ..running.aids import Aids


@dataclass(frozen=True)
class LabelJudgements(Compared):
    """How near the best label of each neuron is to what the neuron really is, as a model of texts judges.

    A sentence encoder gives `sentence_cosine`, the cosine of the two texts; BERTScore gives `bertscore`, its
    F1, and `bertscore_rescaled`, which is 0 for texts that have nothing to do with each other, where the
    layer's baseline is known. Of several references the mean counts, and `n` is how many there are. A neuron
    without a label or without a reference has no value. Needs the extra `judges`.
    """

    judge: Param[Judge]
    """The name of a registered judge: `belvedere add judge NAME SOURCE`."""
    references: Param[References] = None  # type: ignore[assignment]  # nobody has to name one
    """A set of texts that say what neurons are; without one, the classes of the images, for a last layer."""

    version: ClassVar[int] = 2

    def metrics(self) -> Sequence[str]:
        """Those that the judge was registered with."""
        return tuple(self.judge.facts["metrics"])

    def compare(self, pairs: Sequence[Pair], aids: Aids) -> Values:
        """Ask the judge about all pairs at once."""
        labels, real = [one for one, _ in pairs], [other for _, other in pairs]
        found = aids.instrument(self.judge).compare(labels, real)
        return {metric: dict(zip(pairs, map(float, values), strict=True)) for metric, values in found.items()}
