"""Labels from captions by counting: words and phrases that most captions share, each told once.

In the spirit of FALCON (Kalibhat et al. 2023), which takes the words that the captions of a neuron's pictures
share; the diversity is maximal marginal relevance (Carbonell and Goldstein 1998).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .english import COLOURS, META, NUMBERS, STOP, adjective, singular

VERSION = 1
"""Raised where other labels come out of the same captions."""
LAST = 0.5
"""What the last caption weighs; the first, of the best exemplar, weighs 1."""
LONGER = 1.06
"""Factor for each further word of a phrase: of two that are as frequent, the longer says more."""
DESCRIBED = 1.1
"""Factor for a thing with its colour or another adjective before it."""
COUNTED = 0.9
"""Factor for a phrase with a word of counting in it."""
DIVERSE = 0.6
"""What a label loses for each part that it shares with one chosen before."""

_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*|\d+(?:[.,]\d+)*|[^\w\s]")


@dataclass(frozen=True, slots=True)
class Phrase:
    """A phrase of some captions."""

    text: str
    """Its words, in the singular."""
    weight: float
    """The share of the captions that have it, weighted by rank, and by what the phrase is like."""


def phrases(captions: Sequence[str]) -> list[Phrase]:
    """Weigh every phrase of one to three words, the heaviest first, ties by text. Pure."""
    total, weights = 0.0, defaultdict[str, float](float)
    for rank, caption in enumerate(captions):
        weight = 1 - (1 - LAST) * rank / max(len(captions) - 1, 1)
        total += weight
        for phrase in set(_phrases(caption)):
            weights[phrase] += weight
    found = [Phrase(text, weight / total * _factor(text.split())) for text, weight in weights.items()]
    return sorted(found, key=lambda each: (-round(each.weight, 9), each.text))


def labels(captions: Sequence[str], count: int = 5) -> list[str]:
    """Choose labels, the best first: heavy phrases that do not repeat each other. Pure.

    >>> labels(["a red star on grass", "two red stars in the sea", "the red house"], 3)
    ['red', 'star', 'red star']
    """
    left, chosen = phrases(captions), list[Phrase]()
    while left and len(chosen) < count:
        best = min(left, key=lambda each: (-round(_worth(each, chosen), 9), each.text))
        chosen.append(best)
        left.remove(best)
    return [each.text for each in chosen]


def content(caption: str) -> list[str]:
    """Give the words of a caption that say something of what is in the picture, as they stand.

    >>> content("a photo of two red stars in the night sky")
    ['two', 'red', 'stars', 'night', 'sky']
    """
    return [word for run in _runs(caption) for word in run]


def _runs(caption: str) -> Iterator[list[str]]:
    """Give runs of words between which nothing was left out."""
    run: list[str] = []
    for word in _WORD.findall(caption.lower()):
        if word in STOP or word in META or singular(word) in META or not word[0].isalpha():
            if run:
                yield run
            run = []
        else:
            run.append(word)
    if run:
        yield run


def _phrases(caption: str) -> Iterator[str]:
    for run in _runs(caption):
        words = [singular(word) for word in run]
        for start in range(len(words)):
            for stop in range(start + 1, min(start + 3, len(words)) + 1):
                yield " ".join(words[start:stop])


def _factor(words: Sequence[str]) -> float:
    factor = LONGER ** (len(words) - 1)
    if len(words) > 1 and adjective(words[-2]) and words[-1] not in COLOURS and words[-1] not in NUMBERS:
        factor *= DESCRIBED
    return factor * (COUNTED if NUMBERS.intersection(words) else 1.0)


def _worth(phrase: Phrase, chosen: Sequence[Phrase]) -> float:
    """Give a phrase's weight less what it repeats of the phrases chosen before."""
    mine = set(phrase.text.split())
    shared = max(
        (len(mine & set(each.text.split())) / len(mine | set(each.text.split())) for each in chosen),
        default=0,
    )
    return phrase.weight * (1 - DIVERSE * shared)
