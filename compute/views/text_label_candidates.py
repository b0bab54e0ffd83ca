"""The view of what each neuron of a text tower might be called."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ...store import digest
from ...store.errors import BadSource
from ...store.grid import Grid
from ...store.sets import Language
from ...store.views import Input, Param, Unit
from ..neurons.activity import state_in
from ..neurons.pooled import NEURONS
from ..neurons.summarised import Rows, Summarised
from .text_neuron_statistics import TextNeuronStatistics
from .top_texts import TopTexts

if TYPE_CHECKING:
    from ..language.settings import Settings


@dataclass(frozen=True)
class TextLabelCandidates(Summarised):
    """What a language model makes of the texts that activate each neuron most: a few short labels.

    These texts take the place of captions: the neuron has seen them itself, and nothing is left for a
    captioner to say. All else is as in `label_candidates`. A neuron that is dead, constant or tied, as
    `text_neuron_statistics` has it, is not asked about.
    """

    top: Input[TopTexts]
    statistics: Input[TextNeuronStatistics]
    language: Param[Language]
    """The name of a registered language model; `rules`, which needs none, where none is registered."""
    k: Param[int] = 10
    """Texts at the top of each neuron that are summarised, at most 100."""
    label_language: Param[str] = "en"
    """Code of the language of the labels."""
    samples: Param[int] = 5
    """How often the texts are summarised."""
    temperature: Param[float] = 0.3
    """0 for the likeliest reply; above it, replies are drawn."""
    seed: Param[int] = 0
    """Another seed draws other replies."""
    epoch: Param[int] = 0
    """Raised by one to have replies drawn anew that are there already."""
    prompt: Param[str] = "summarise_texts"
    """The prompt by which texts are summarised."""
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        """Refuse what no language model can be asked, and texts among which ties are not looked for."""
        if self.k > self.statistics.top_k:
            raise BadSource(
                f"k={self.k} top texts are looked at, and ties are found among the "
                f"top_k={self.statistics.top_k} largest activations alone; give top_k={self.k} as well"
            )
        self.refuse_what_cannot_be_asked()

    @property
    def settings(self) -> Settings:
        """How texts become candidates; `BadSource` for what is none."""
        from ..language.settings import Settings

        return Settings(
            language=self.label_language,
            samples=self.samples,
            summary_prompt=self.prompt,
            sampling=self.sampling,
        )

    @property
    def sentences(self) -> int:
        """The most texts of a neuron."""
        return self.k

    @property
    def grid(self) -> Grid:
        """One neuron a unit: nothing is paid for that was not asked for."""
        return Grid(self.top.activations.shape[1], 1)

    def constant(self) -> Mapping[str, str]:
        """Name the module."""
        return self.top.constant()

    def needs(self, index: int) -> Sequence[Unit]:
        """List the top texts and the statistics of the neuron's block."""
        return (self.top.units[index // NEURONS], self.statistics.units[index // NEURONS])

    def contents(self, start: int, stop: int) -> str:
        """Give the digest of the neuron, its block, the prompts' words and how they are sent."""
        return digest.of_sequence([str(start), *(unit.key for unit in self.needs(start)), self.asked()])

    def told(self, unit: Unit, rows: Rows) -> list[str] | None:
        """List a neuron's top texts, the most activating first; none of a neuron that has no label."""
        top, states = (rows(each) for each in self.needs(unit.start))
        if top is None or states is None:
            return None
        if state_in(states, unit.start) != "ok":
            return []
        first, last = (
            bisect_left(top, place, key=lambda row: (row["neuron"], row["rank"]))
            for place in ((unit.start, 0), (unit.start, self.k))
        )
        return [self.top.activations.texts.texts[row["text_id"]] for row in top[first:last]]
