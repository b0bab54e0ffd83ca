"""The view of what each neuron might be called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from ...store import digest
from ...store.grid import Grid
from ...store.sets import Language
from ...store.views import Input, Param, Unit
from ..neurons.summarised import Rows, Summarised
from .captions import Captions

if TYPE_CHECKING:
    from ..language.settings import Settings


@dataclass(frozen=True)
class LabelCandidates(Summarised):
    """What a language model makes of the captions of each neuron's exemplars: a few short labels.

    It is asked `samples` times, with the captions in other orders; equal labels are one candidate
    (Describe-and-Dissect, Bai et al. 2024, section 3.2). `status` is ok, refused or malformed, and `said`
    the reply as it came. A usable reply is kept the moment it is there, by its request: it is never asked
    and paid for twice. `preset="paper"` sets the parameters as the released code does.
    """

    captions: Input[Captions]
    language: Param[Language]
    """The name of a registered language model; `rules`, which needs none, where none is registered."""
    label_language: Param[str] = "en"
    """Code of the language of the labels."""
    samples: Param[int] = 5
    """How often the captions are summarised."""
    temperature: Param[float] = 0.3
    """0 for the likeliest reply; above it, replies are drawn."""
    seed: Param[int] = 0
    """Another seed draws other replies."""
    epoch: Param[int] = 0
    """Raised by one to have replies drawn anew that are there already."""
    summarise: Param[bool] = True
    """Whether captions are summarised; without it the captions themselves are the candidates."""
    clean: Param[bool] = True
    """Whether loops and agencies' marks are taken out of captions first."""
    simplify: Param[bool] = False
    """Whether each caption is first shortened by the language model."""
    ranked_first: Param[bool] = False
    """Whether the first summary sees the captions in the order of their exemplars."""
    colon: Param[Literal["prefix", "between"]] = "prefix"
    """Of "a: b: c", what is the label: all after the first colon, or what stands between two of them."""
    comma: Param[Literal["first", "merge"]] = "first"
    """Of a list, what is the label: its first entry, or what the model makes of all when asked again."""
    background: Param[bool] = False
    """Whether a label that ends in "design" or "graphic" is also one with "background" after it."""
    prompt: Param[str] = "summarise"
    """The prompt by which captions are summarised."""
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "default": {},
        "paper": {
            "clean": False,
            "simplify": True,
            "ranked_first": True,
            "colon": "between",
            "comma": "merge",
            "background": True,
            "prompt": "summarise_worked",
        },
    }
    version: ClassVar[int] = 3  # 2 took replies in another language of the same script

    def __post_init__(self) -> None:
        """Refuse what no language model can be asked."""
        self.refuse_what_cannot_be_asked()

    @property
    def settings(self) -> Settings:
        """How captions become candidates; `BadSource` for what is none."""
        from ..language.settings import Settings

        return Settings(
            language=self.label_language,
            samples=self.samples,
            clean=self.clean,
            simplify=self.simplify,
            ranked_first=self.ranked_first,
            colon=self.colon,
            comma=self.comma,
            background=self.background,
            summary_prompt=self.prompt,
            sampling=self.sampling,
        )

    @property
    def summarises(self) -> bool:
        """Whether the model is asked."""
        return self.summarise

    @property
    def sentences(self) -> int:
        """The most captions of a neuron."""
        return self.captions.exemplars.exemplars

    @property
    def most(self) -> int:
        """The most candidates of a neuron."""
        if not self.summarise:
            return self.sentences
        return self.samples * (2 if self.background else 1)

    @property
    def grid(self) -> Grid:
        """One neuron a unit: nothing is paid for that was not asked for."""
        return self.captions.grid

    def constant(self) -> Mapping[str, str]:
        """Name the module."""
        return self.captions.constant()

    def needs(self, index: int) -> Sequence[Unit]:
        """List the neuron's captions."""
        return (self.captions.units[index],)

    def contents(self, start: int, stop: int) -> str:
        """Give the digest of the neuron's captions, of the prompts' words and of how they are sent."""
        return digest.of_sequence([self.captions.units[start].key, self.asked()])

    def told(self, unit: Unit, rows: Rows) -> list[str] | None:
        """List the captions of a unit's neuron, the best exemplar's first."""
        found = rows(self.captions.units[unit.start])
        if found is None:
            return None
        return [row["caption"] for row in sorted(found, key=lambda row: row["rank"])]
