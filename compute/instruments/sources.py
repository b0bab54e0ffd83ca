"""Instruments: captioners, language models, painters and judges, found by sources, registered by name."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Literal

from ...store import digest
from ...store.errors import WeightsChanged
from ...store.registry import Kept
from ...store.sets import Captioner, Instrument, Judge, Language, Painter
from ...store.tracing import emit

RULES = "rules"
"""The language model that is always there: it counts words, and needs no weights."""
Precision = Literal["float32", "float16", "bfloat16"]


def find(kind: type[Instrument], source: str, device: str = "cpu") -> Any:
    """Take apart a source and find what it names; `UnknownName` and `BadSource` as the finders have it.

    What is found has `facts()`, which identify it and have no path among them. Captioners, painters
    and judges are loaded by its `load(device, precision)`; a language model is what can be asked.
    """
    if kind is Captioner:
        if source.startswith("clip:"):
            from .concept_captioner import find as chooser

            return chooser(source)
        from .captioning import find as captioner

        return captioner(source)
    if kind is Painter:
        from .painting import find as painter

        return painter(source)
    if kind is Judge:
        from .judging import find as judge

        return judge(source)
    from ..language import find as language

    return language(source, device=device)


def register(kind: type[Kept], name: str, source: str, precision: Precision) -> Kept:
    """Learn what a source names: read its files once for what identifies it."""
    return kind(name, source, find(kind, source).facts(), precision)


@cache
def rules() -> Language:
    """Give the language model that is always there."""
    return Language(RULES, RULES, find(Language, RULES).facts())


def differing(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Say what differs of what an instrument is identified by."""
    found = "; ".join(digest.differences(before, now))
    return f"{found}: see OPENAI_BASE_URL" if before.get("host") != now.get("host") else found


def load(each: Instrument, device: str) -> Any:
    """Load an instrument to run it; `WeightsChanged` where it is no longer what was registered."""
    emit("load", each.name)
    found = find(type(each), each.source, device)
    if found.facts() != dict(each.facts):
        raise WeightsChanged(
            f"{each.name!r} is no longer what {each.source} was when it was added "
            f"({differing(each.facts, found.facts())}); add it again with replace=True (--replace), or under "
            "another name"
        )
    return found if isinstance(each, Language) else found.load(device, each.precision)
