"""The cleaning of captions: what a captioner stammers becomes what it meant to say."""

from __future__ import annotations

import re

_ARTEFACT = re.compile(r"^\W*(?:an?\s+)?araf+\w*\b\s*", re.IGNORECASE)
"""A word that BLIP begins captions with, and that means nothing."""
_SPACED = (
    (re.compile(r"(?<=\w) - (?=\w)"), "-"),
    (re.compile(r"(?<=\w) ?' ?(?=(?:s|t|d|m|re|ve|ll)\b)"), "'"),
    (re.compile(r"\s+(?=[,.;:!?](?:\s|$))"), ""),
)
"""Marks that a tokenizer set apart: "t - shirt", "a man ' s hat", "a dog , asleep"."""
_LONGEST = 12
"""Words of the longest phrase whose repetition is looked for."""
_LINKS = frozenset({"a", "an", "and", "are", "at", "by", "in", "is", "of", "on", "or", "the", "to", "with"})
"""Words that a caption does not end with unless it was cut off."""


def clean(caption: str) -> str:
    """Clean a caption: no loops, no doubled spaces, no marks set apart, no meaningless first word. Pure.

    A word said three times or more is said once, and so is a phrase of up to twelve words said twice or more
    in a row; what is left of a phrase where a loop was cut off goes, too. A caption of nothing else becomes
    empty.

    >>> clean("arafed man in a t - shirt  at the grill grill grill grill")
    'man in a t-shirt at the grill'
    >>> clean("a dog and a cat and a dog and a cat and a dog")
    'a dog and a cat'
    """
    text = " ".join(caption.split())
    while (shorter := _once(text)) != text:
        text = shorter
    return text if any(each.isalnum() for each in text) else ""


def _once(text: str) -> str:
    """Take each step of the cleaning once; what a step leaves may need another."""
    text = _ARTEFACT.sub("", text)
    for found, put in _SPACED:
        text = found.sub(put, text)
    return " ".join(_unlooped(text.split()))


def _unlooped(words: list[str]) -> list[str]:
    """Cut the first loop out of a sentence."""
    said = [re.sub(r"\W", "", word).casefold() or word for word in words]
    for start in range(len(said)):
        for length in range(1, min(_LONGEST, (len(said) - start) // 2) + 1):
            times = _times(said, start, length)
            if times >= (3 if length == 1 else 2):
                return _joined(words, said, start, length, start + times * length)
    return words


def _times(said: list[str], start: int, length: int) -> int:
    """Count how often a phrase is said in a row."""
    phrase, times = said[start : start + length], 1
    while said[start + times * length : start + (times + 1) * length] == phrase:
        times += 1
    return times


def _joined(words: list[str], said: list[str], start: int, length: int, stop: int) -> list[str]:
    """Say a phrase once, and go on after the loop; a loop that was cut off at the end leaves nothing."""
    rest = words[stop:]
    if said[stop:] != said[start : start + len(rest)]:
        return words[: start + length] + rest
    kept = words[: start + length]
    while len(kept) > 1 and kept[-1].casefold().strip(",;:") in _LINKS:
        kept = kept[:-1]
    return [*kept[:-1], kept[-1].rstrip(",;:")]
