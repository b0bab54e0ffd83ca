"""The prompts, as versioned data, and the requests that they make."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any

from ...store import digest
from ...store.errors import UnknownName
from . import languages
from .messages import Message, Request, Sampling


@dataclass(frozen=True, slots=True)
class Prompt:
    """A template of a conversation about captions."""

    name: str
    """Its name, `summarise`."""
    version: int
    """Raised where a word changes."""
    turns: tuple[Message, ...]
    """The turns; in the last one `{language}` and `{captions}` are filled in."""
    item: str
    """How one caption stands in the list of them."""
    join: str
    """What stands between two captions."""
    strict: str
    """What is added to the last turn where the first reply was of no use."""
    words: int
    """The most words of a usable reply."""
    copies: bool
    """Whether a reply may repeat one of the captions."""

    def facts(self) -> dict[str, Any]:
        """Give the template whole, as plain values."""
        return {
            "name": self.name,
            "version": self.version,
            "turns": [turn.facts() for turn in self.turns],
            "item": self.item,
            "join": self.join,
            "strict": self.strict,
        }

    @property
    def sha256(self) -> str:
        """The digest of the template, 64 hexadecimal digits."""
        return digest.of_facts(self.facts())

    def request(
        self,
        captions: Sequence[str],
        language: str,
        sampling: Sampling,
        *,
        shown: Sequence[str] | None = None,
        sample: int = 0,
        strict: bool = False,
    ) -> Request:
        """Fill in the template.

        Args:
            captions: What it is about, best exemplar first.
            language: Code of the label's language.
            sampling: How the reply is drawn.
            shown: The same captions in the order in which they are told; that of `captions` by default.
            sample: Which of several replies to the same question.
            strict: Whether to ask in stricter words.

        Raises:
            UnknownName: There is no language of this code.
        """
        listed = self.join.join(self.item.format(caption=each) for each in (shown or captions))
        name = languages.find(language).name
        *before, last = self.turns
        asked = last.content.format(language=name, captions=listed)
        if strict:
            asked = f"{asked} {self.strict.format(language=name)}"
        return Request(
            (*before, Message(last.role, asked)),
            self.name,
            tuple(captions),
            language,
            sampling,
            sample,
            strict,
            {"name": self.name, "version": self.version, "sha256": self.sha256, "language": language},
        )


@cache
def known() -> Mapping[str, Prompt]:
    """Read the prompts that come with the package, each by its name."""
    table = tomllib.loads(resources.files(__package__).joinpath("prompts.toml").read_text("utf-8"))
    return MappingProxyType(
        {
            name: Prompt(
                name,
                row["version"],
                tuple(Message(turn["role"], turn["content"].strip()) for turn in row["turns"]),
                row["item"],
                row["join"],
                row["strict"],
                row["words"],
                row["copies"],
            )
            for name, row in table.items()
        }
    )


def find(name: str) -> Prompt:
    """Find a prompt by its name; `UnknownName` says which there are."""
    if name not in known():
        raise UnknownName("prompt", name, known())
    return known()[name]
