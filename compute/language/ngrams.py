"""Labels from captions by counting: words and phrases that most captions share, each told once.

In the spirit of FALCON (Kalibhat et al. 2023), which takes the words that the captions of a neuron's pictures
share; the diversity is maximal marginal relevance (Carbonell and Goldstein 1998). Of "night sky" neither word
is a label where neither is ever found without the other (a nested term counts by where it stands outside of
longer ones: Frantzi, Ananiadou and Mima 2000). Words are compared in the singular, and written as they are
found most often: a picture of "bricks" is asked for in the captioner's own words.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from .english import COLOURS, META, NUMBERS, STOP, adjective, singular

VERSION = 2
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


Words = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Phrase:
    """A phrase of some captions."""

    text: str
    """Its words as most captions have them, by weight."""
    weight: float
    """The share of the captions that have it, weighted by rank, and by what the phrase is like."""
    words: Words
    """Its words in the singular, by which phrases are compared."""


def phrases(captions: Sequence[str]) -> list[Phrase]:
    """Weigh every phrase of one to three words, the heaviest first, ties by text. Pure."""
    told = [list(_runs(caption)) for caption in captions]
    bound = _bound(told)
    total, weights = 0.0, defaultdict[Words, float](float)
    written = defaultdict[Words, defaultdict[str, float]](lambda: defaultdict(float))
    for rank, runs in enumerate(told):
        weight = 1 - (1 - LAST) * rank / max(len(captions) - 1, 1)
        total += weight
        found = {each for run in runs for each in list(_phrases(run, bound)) or _phrases(run, frozenset())}
        for words in {words for words, _ in found}:
            weights[words] += weight
        for words, text in found:
            written[words][text] += weight
    each = [
        Phrase(_heaviest(written[words]), weight / total * _factor(words), words)
        for words, weight in weights.items()
    ]
    return sorted(each, key=lambda one: (-round(one.weight, 9), one.text))


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


def _runs(caption: str) -> Iterator[Words]:
    """Give runs of words between which nothing was left out."""
    run: list[str] = []
    for word in _WORD.findall(caption.lower()):
        if word in STOP or word in META or singular(word) in META or not word[0].isalpha():
            if run:
                yield tuple(run)
            run = []
        else:
            run.append(word)
    if run:
        yield tuple(run)


def _bound(told: Sequence[Sequence[Words]]) -> frozenset[tuple[Words, int]]:
    """Find the words of compounds that are never found alone: a pair of nouns, and which of the two it is."""
    runs = [[singular(word) for word in run] for caption in told for run in caption]
    alone = Counter(word for run in runs for word in run)
    pairs = Counter(pair for run in runs for pair in pairwise(run) if all(map(_noun, pair)))
    return frozenset(
        (pair, place) for pair, count in pairs.items() for place in (0, 1) if alone[pair[place]] == count
    )


def _noun(word: str) -> bool:
    return not adjective(word) and word not in NUMBERS


def _phrases(run: Words, bound: frozenset[tuple[Words, int]]) -> Iterator[tuple[Words, str]]:
    """Give the phrases of a run, in the singular and as they stand; none is cut out of a compound."""
    words = [singular(word) for word in run]
    for start in range(len(words)):
        for stop in range(start + 1, min(start + 3, len(words)) + 1):
            before, after = tuple(words[max(start - 1, 0) : start + 1]), tuple(words[stop - 1 : stop + 1])
            if (before, 1) not in bound and (after, 0) not in bound:
                yield tuple(words[start:stop]), " ".join(run[start:stop])


def _heaviest(texts: Mapping[str, float]) -> str:
    return min(texts, key=lambda text: (-round(texts[text], 9), text))


def _factor(words: Words) -> float:
    factor = LONGER ** (len(words) - 1)
    if len(words) > 1 and adjective(words[-2]) and words[-1] not in COLOURS and words[-1] not in NUMBERS:
        factor *= DESCRIBED
    return factor * (COUNTED if NUMBERS.intersection(words) else 1.0)


def _worth(phrase: Phrase, chosen: Sequence[Phrase]) -> float:
    """Give a phrase's weight less what it repeats of the phrases chosen before."""
    mine = set(phrase.words)
    shared = max((len(mine & set(each.words)) / len(mine | set(each.words)) for each in chosen), default=0)
    return phrase.weight * (1 - DIVERSE * shared)
