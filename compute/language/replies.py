"""From what a language model wrote to a label, or the reason why it holds none."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from . import languages
from .languages import Language
from .messages import Reply

LONGEST = 100
"""The most characters of a label."""
COPIED = 4
"""From so many words on, a label that repeats a caption is a copy; "zebra" of "zebra" is an answer."""

Status = Literal["ok", "refused", "malformed"]

_THOUGHT = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL | re.IGNORECASE)
_MARKS = re.compile(r"<\|?/?[a-z_]+\|?>|\[/?INST\]|```")
_BULLET = re.compile(r"\A(?:[-*•·]\s+|\(?\d{1,2}[.):]\s+|#{1,6}\s+)")
_ASSENT = re.compile(
    r"\A(?:sure(?: thing)?|certainly|of course|okay|ok|yes|absolutely)\b\s*[,!.:–—-]+\s*", re.I
)
_PREFIX = re.compile(
    r"\A(?:[^:：]{1,40}:\s+|[^:：]{1,40}：|(?:label|answer|summary|theme|concept):)(?=\S)", re.I
)
_CLAUSE = re.compile(
    r"\A(?:the |a |my |one )?(?:\w+ )?(?:label|answer|theme) (?:is|would be|could be|might be) ", re.I
)
_QUOTES = "\"'`*_«»„“”‘’‚‹›「」『』 \t"
_ENDS = ".!。．！;,、，"
_PICTOGRAMS = re.compile(
    "\\A[\u2190-\u2bff\ufe0f\u200d\U0001f000-\U0001faff]+|[\u2190-\u2bff\ufe0f\u200d\U0001f000-\U0001faff]+\\Z"
)
_APOLOGIES = re.compile(
    r"\A(?:i['’]?m |i am |we['’]re |we are )?(?:very |so |really )?sorry\b|\A(?:i['’]?m|i am) afraid\b"
    r"|\A(?:i|we) (?:can(?:not|['’]?t)|could(?: not|n['’]?t)|do(?: not|n['’]?t)|won['’]?t|will not"
    r"|am (?:not|unable)|apologi[sz]e|must decline|need more)\b"
    r"|\Ai['’]m (?:not|unable)\b|\A(?:my )?apologies\b|\A(?:unable|not able) to\b|\Acannot\b"
)
_DECLINING = re.compile(
    r"\b(?:i|we) (?:must|have to|am going to) (?:decline|refuse)\b"
    r"|\bas an? (?:[\w-]+ ){0,3}(?:assistant|language model|ai)\b"
)
"""What a model says anywhere in a sentence in which it declines."""
_NOTHING = re.compile(
    r"none|n/a|na|nil|null|nan|nothing|unknown|unclear|undefined|various|miscellaneous|no (?:label|answer)"
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a reply is worth."""

    status: Status
    """`ok`, `refused` where the model declined, `malformed` where the reply holds no label."""
    text: str = ""
    """The label; empty unless `ok`."""
    reason: str = ""
    """Why it is of no use; empty where `ok`."""


def tidied(text: str) -> str:
    """Bring a text to Unicode's composed form, with single spaces.

    >>> tidied("  red  stars ")
    'red stars'
    """
    return " ".join(unicodedata.normalize("NFC", text).split())


def normalised(text: str) -> str:
    """Give the form in which labels are compared: tidied, in lower case, without marks at its ends.

    >>> normalised('"Red  stars."')
    'red stars'
    """
    return _bare(tidied(text)).lower()


def label(text: str, language: Language) -> str:
    """Give a text as a label is written: in lower case, where the language allows that.

    >>> from .languages import find
    >>> label("Rote Sterne.", find("de")), label("Red Stars.", find("en"))
    ('Rote Sterne', 'red stars')
    """
    return normalised(text) if language.lower else _bare(tidied(text))


def _bare(text: str) -> str:
    """Take quotation marks, emphasis, pictograms and final punctuation away from both ends, all there are."""
    while (less := _PICTOGRAMS.sub("", text.strip(_QUOTES).rstrip(_ENDS))) != text:
        text = less
    return text


def said(reply: Reply) -> str:
    """Give what a reply says in the end: without a reasoning model's thoughts, and without an opening line.

    An opening line ends in a colon, and one more line follows.
    """
    lines = [line.strip() for line in _THOUGHT.sub("", reply.text).splitlines() if line.strip()]
    if len(lines) == 2 and lines[0].endswith((":", "：")):
        lines = lines[1:]
    return "\n".join(lines)


def plain(text: str) -> str:
    """Take a reply out of what models put around it: bullets, numbers, quotes, "Label:", a final period.

    >>> plain('1. **Label: "Striped stars."**'), plain('Sure! The label is "red".')
    ('Striped stars', 'red')
    """
    text = _bare(_BULLET.sub("", _bare(text)))
    for around in (_ASSENT, _PREFIX, _CLAUSE):
        text = _bare(around.sub("", text))
    return text


def between_colons(text: str) -> str:
    """Keep what stands between the first and the second colon, as the released code does.

    >>> between_colons("Theme: a: b"), between_colons("stars")
    ('a', 'stars')
    """
    parts = text.split(":")
    return parts[1].strip() if len(parts) > 1 else text


def pieces(text: str) -> tuple[str, ...]:
    """Split a list at its commas.

    >>> pieces("zebra, stripes,")
    ('zebra', 'stripes')
    """
    return tuple(part for part in (_bare(each) for each in re.split(r"[,，、;]", text)) if part)


def first(text: str) -> str:
    """Take the first entry of a list with commas, unless all of it reads as one phrase.

    One phrase are adjectives of one word each before a last part of two words or more.

    >>> first("zebra, stripes, grass"), first("red, striped stars")
    ('zebra', 'red striped stars')
    """
    found = pieces(text)
    if len(found) < 2:
        return text
    *before, last = [each.split() for each in found]
    if len(last) > 1 and all(len(each) == 1 for each in before) and len(before) + len(last) <= 5:
        return " ".join(found)
    return found[0]


def judged(
    reply: Reply, text: str, *, captions: Sequence[str], language: Language, words: int, copies: bool
) -> Verdict:
    """Judge what a reply says. Pure.

    Args:
        reply: The reply as it came.
        text: What was taken out of it (`plain` and `first`, or `said` where nothing is taken away).
        captions: What the model was asked about.
        language: The language in which it was asked to answer.
        words: The most words that are allowed.
        copies: Whether it may repeat a caption of `COPIED` words or more.
    """
    whole = said(reply)
    if reply.finish_reason in ("content_filter", "refusal") or _declines(whole, language):
        return Verdict("refused", reason=f"the model declined: {_short(whole) or reply.finish_reason}")
    for wrong in (_cut(reply, whole), _shape(whole, text, language, words), _speech(text, language)):
        if wrong:
            return Verdict("malformed", reason=wrong)
    if not copies and _copied(text, captions):
        return Verdict("malformed", reason=f"it repeats a caption: {_short(text)}")
    return Verdict("ok", tidied(text))


def _declines(whole: str, language: Language) -> bool:
    start = normalised(whole)
    return bool(
        _APOLOGIES.search(start)
        or _NOTHING.fullmatch(start)
        or any(_begins(start, words) for words in language.refusals)
        or _DECLINING.search(start)
    )


def _begins(text: str, words: str) -> bool:
    """Tell whether a text begins with words; those of Latin letters have to end there."""
    rest = text.removeprefix(words)
    return rest != text and not (words.isascii() and rest[:1].isalnum())


def _cut(reply: Reply, whole: str) -> str:
    if reply.finish_reason == "length":
        return f"it was cut off at max_tokens: {_short(whole) or 'not a word came'}"
    return "" if whole else "it is empty"


def _shape(whole: str, text: str, language: Language, words: int) -> str:
    count = len(whole.splitlines())
    if count > 1:
        return f"it has {count} lines: {_short(whole)}"
    spoken = len(text.split()) if language.spaces else -(-len(text) // 4)
    if spoken > words:
        return f"it has {spoken} words, and {words} at most are a label: {_short(text)}"
    return f"it has {len(text)} characters: {_short(text)}" if len(text) > LONGEST else ""


def _speech(text: str, language: Language) -> str:
    if not any(c.isalpha() for c in text):
        return f"it has no word: {_short(text)}"
    if _MARKS.search(text) or any(unicodedata.category(c) in ("Cc", "Cs", "Co") for c in tidied(text)):
        return f"it has marks that are no text: {_short(text)}"
    if set("{}[]<>") & set(text):
        return f"it has brackets that are no text: {_short(text)}"
    heard = normalised(text).split()
    if any(one == two == three for one, two, three in zip(heard, heard[1:], heard[2:], strict=False)):
        return f"it repeats a word: {_short(text)}"
    if not language.written(text):
        return f"it is not written in {language.name}: {_short(text)}"
    if (other := languages.other(normalised(text), language)) is not None:
        return f"it is in {other.name}, not in {language.name}: {_short(text)}"
    return ""


def _copied(text: str, captions: Sequence[str]) -> bool:
    """Tell whether a text repeats a caption that does not describe most of the pictures by itself."""
    mine, others = normalised(text), [normalised(caption) for caption in captions]
    return len(mine.split()) >= COPIED and 0 < others.count(mine) <= len(others) / 2


def _short(text: str) -> str:
    line = " ⏎ ".join(text.splitlines())
    return repr(line if len(line) <= 60 else f"{line[:59]}…") if line else ""
