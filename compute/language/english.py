"""English as the rules know it: words that say nothing of a picture, colours, numbers, singular forms."""

from __future__ import annotations

import re
import tomllib
from importlib import resources

_TABLE = tomllib.loads(resources.files(__package__).joinpath("english.toml").read_text("utf-8"))

STOP = frozenset(_TABLE["stop"].split())
"""Words that no label begins with, ends with or has inside."""
META = frozenset(_TABLE["meta"].split())
"""Words about the picture and not about what is in it."""
COLOURS = frozenset(_TABLE["colours"].split())
"""Names of colours."""
NUMBERS = frozenset(_TABLE["numbers"].split())
"""Words of counting, which hold less than a colour or a thing where both are there."""

_ADJECTIVE = re.compile(r"\w+(?:ed|y|ic|al|ous|ful|ish|ular|en|ing)\Z")
_NO_ADJECTIVE = frozenset(_TABLE["nouns"].split())
_SAME = frozenset(_TABLE["same"].split())
_IRREGULAR: dict[str, str] = _TABLE["singular"]


def singular(word: str) -> str:
    """Give the singular of a noun, or the word itself.

    >>> [singular(word) for word in ("stars", "crosses", "berries", "grass", "leaves", "bus", "boxes")]
    ['star', 'cross', 'berry', 'grass', 'leaf', 'bus', 'box']
    """
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if word in _SAME or len(word) < 4 or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies"):
        return word[:-3] + "y"
    if word.endswith(("sses", "xes", "ches", "shes", "zzes")):
        return word[:-2]
    return word[:-1]


def adjective(word: str) -> bool:
    """Guess whether a word tells what something is like: a colour, or an ending that says so.

    >>> [adjective(word) for word in ("red", "striped", "furry", "star", "sky")]
    [True, True, True, False, False]
    """
    return word in COLOURS or (bool(_ADJECTIVE.match(word)) and word not in _NO_ADJECTIVE and len(word) > 4)
