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
            )
            for code, row in table.items()
        }
    )


def find(code: str) -> Language:
    """Find a language by its code; `UnknownName` says which there are."""
    if code not in known():
        listed = ", ".join(f"{each.code} {each.name}" for each in known().values())
        raise UnknownName("language", code, known(), listed)
    return known()[code]
