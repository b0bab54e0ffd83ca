"""The view of how near labels are to what their neurons really are, by a model of images and texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ...store.sets import Clip, References
from ...store.views import Param
from ..neurons.compared import Compared, Pair, Values
from ..neurons.likeness import Likeness

if TYPE_CHECKING:
    from ..running.aids import Aids


@dataclass(frozen=True)
class LabelClipCosines(Compared):
    """How near the best label of each neuron is to what the neuron really is: the cosine of the two texts.

    Texts are embedded as they are by the `judge_clip` model's text tower; of several references the mean
    counts (Describe-and-Dissect, Bai et al. 2024, section 4), and `n` is how many there are. A neuron without
    a label or without a reference has no value; nor has one of which a text is longer than the model reads.
    """

    judge_clip: Param[Clip]
    """The name of a registered model of images and texts; `clip` is the one that labels are made with."""
    references: Param[References] = None  # type: ignore[assignment]  # nobody has to name one
    """A set of texts that say what neurons are; without one, the classes of the images, for a last layer."""

    version: ClassVar[int] = 2

    def metrics(self) -> Sequence[str]:
        """One: the cosine."""
        return ("clip_cosine",)

    def compare(self, pairs: Sequence[Pair], aids: Aids) -> Values:
        """Embed each text once."""
        likeness = Likeness({text for pair in pairs for text in pair}, self.judge_clip, aids)
        return {"clip_cosine": {(one, other): likeness.cosine(one, other) for one, other in pairs}}
