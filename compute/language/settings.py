"""How captions become candidate labels: the choices, and two presets of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from ...store.errors import BadSource
from . import languages, prompts
from .messages import Sampling


@dataclass(frozen=True, slots=True)
class Settings:
    """The choices of the chain from captions to candidates; the defaults are those of `preset="default"`."""

    language: str = "en"
    """Code of the language in which labels are wanted."""
    samples: int = 5
    """How often the captions are summarised, each time in another order."""
    clean: bool = True
    """Whether loops, agencies' marks and split hyphens are taken out of captions first."""
    simplify: bool = False
    """Whether each caption is first shortened by the language model."""
    ranked_first: bool = False
    """Whether the first summary sees the captions in the order of their exemplars, the best one first."""
    colon: Literal["prefix", "between"] = "prefix"
    """Of "a: b: c", what is the label: all after the first colon, or what stands between two of them."""
    comma: Literal["first", "merge"] = "first"
    """Of a list, what is the label: its first entry, or what the model makes of all when asked again."""
    background: bool = False
    """Whether a label that ends in "design" or "graphic" is also a candidate with "background" after it."""
    summary_prompt: str = "summarise"
    """The prompt by which captions are summarised."""
    sampling: Sampling = field(default_factory=Sampling)
    """How replies are drawn."""

    def __post_init__(self) -> None:
        """Refuse choices that are none."""
        languages.find(self.language)
        prompts.find(self.summary_prompt)
        for name, known in (("colon", ("prefix", "between")), ("comma", ("first", "merge"))):
            if getattr(self, name) not in known:
                raise BadSource(f"{name} is {' or '.join(map(repr, known))}, not {getattr(self, name)!r}")
        if self.samples < 1:
            raise BadSource(f"samples is at least 1, not {self.samples}")

    @property
    def tasks(self) -> tuple[str, ...]:
        """The prompts that can be used, in their order."""
        first, last = ("simplify",) * self.simplify, ("merge",) * (self.comma == "merge")
        return (*first, self.summary_prompt, *last)

    def facts(self) -> dict[str, Any]:
        """Give the choices and the prompts' digests, as plain values."""
        return {**asdict(self), "prompts": {task: prompts.find(task).sha256 for task in self.tasks}}


PRESETS: Mapping[str, Settings] = MappingProxyType(
    {
        "default": Settings(),
        "paper": Settings(
            clean=False,
            simplify=True,
            ranked_first=True,
            colon="between",
            comma="merge",
            background=True,
            summary_prompt="summarise_worked",
        ),
    }
)
"""`default`, the corrected method, and `paper`, as the released code does it."""
