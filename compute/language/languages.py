"""The languages in which a label can be wanted, and what can be told of each without knowing it."""

from __future__ import annotations

import tomllib
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType

from ...store.errors import UnknownName

PLAIN = 2
"""So many different words that bind others tell a language."""


@dataclass(frozen=True, slots=True)
class Language:
    """A language, by what is plain from its writing."""

    code: str
    """ISO 639-1."""
    name: str
    """In English, as prompts have it."""
    scripts: tuple[str, ...]
    """The first words of the Unicode names of its letters."""
    refusals: tuple[str, ...]
    """How a model begins that declines, in lower case."""
    spaces: bool = True
    """Whether its words are set apart by spaces."""
    lower: bool = True
    """Whether a label may be written in lower case throughout; German nouns may not."""
    common: frozenset[str] = frozenset()
    """Words that bind others, in lower case."""

    def written(self, text: str) -> bool:
        """Tell whether most letters of a text are of the language's scripts.

        >>> find("ru").written("красные звёзды"), find("ru").written("red stars")
        (True, False)
        """
        letters = [unicodedata.name(c, "?").split()[0] for c in text if c.isalpha()]
        return 2 * sum(letter in self.scripts for letter in letters) > len(letters)


@cache
def known() -> Mapping[str, Language]:
    """Read the table of languages: each by its code."""
    table = tomllib.loads(resources.files(__package__).joinpath("languages.toml").read_text("utf-8"))
    return MappingProxyType(
        {
            code: Language(
                code,
                row["name"],
                tuple(row["scripts"]),
                tuple(row["refusals"]),
                row.get("spaces", True),
                row.get("lower", True),
                frozenset(row.get("common", "").split()),
            )
            for code, row in table.items()
        }
    )


def other(text: str, asked: Language) -> Language | None:
    """Tell which language a text is in, where it is plainly not the one that was asked for.

    That is one of which it has two of the words that bind others, or more, while it has none of the language
    that was asked for. A phrase without such words is taken to be in any language of its script.

    >>> other("rote Sterne auf einem Strand", find("en")).name
    'German'
    >>> other("rote Sterne", find("en")), other("café au lait", find("en"))
    (None, None)
    """
    heard = set(text.lower().split())
    if heard & asked.common or not asked.common:
        return None
    found = max(known().values(), key=lambda each: len(heard & each.common))
    return found if len(heard & found.common) >= PLAIN else None


def find(code: str) -> Language:
    """Find a language by its code; `UnknownName` says which there are."""
    if code not in known():
        listed = ", ".join(f"{each.code} {each.name}" for each in known().values())
        raise UnknownName("language", code, known(), listed)
    return known()[code]
