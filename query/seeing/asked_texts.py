"""Texts of the user's own, embedded by a model and kept, so that asking again does not load it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from ...compute.running.report import Progress
from ...compute.views.text_embeddings import TextEmbeddings
from ...store.errors import BadSource
from ...store.registry import TEXT_ENTRIES
from ...store.sets import Model, TextSet
from ...store.views import Array
from ..engine import Engine

ASKED = "(asked)"
"""What a set of one asked text goes by; nothing that is registered can have this name."""


def checked(texts: str | Sequence[str], who: str) -> list[str]:
    """Strip the texts, and drop those that are asked twice; `BadSource` for one without words."""
    listed: list[Any] = [texts] if isinstance(texts, str) or not isinstance(texts, Iterable) else list(texts)
    if odd := [each for each in listed if not isinstance(each, str)]:
        raise BadSource(f"{who} takes one text or several, such as 'striped things', and not {odd[0]!r}")
    asked = list(dict.fromkeys(text.strip() for text in listed))
    if not asked or not all(asked):
        raise BadSource(f"{who} takes one text or several, such as 'striped things', and none of them empty")
    return asked


def views_of(engine: Engine, model: Model, texts: Sequence[str]) -> list[TextEmbeddings]:
    """Make for each text the view of a set of it alone, so that texts are kept one by one."""
    return [engine.same(TextEmbeddings(model, _one(text))) for text in texts]


def embedded(engine: Engine, views: Sequence[TextEmbeddings], told: Progress | None = None) -> Array:
    """Fill and read the embeddings of asked texts, "text joint" at unit norm.

    Raises `BadSource` where one is too long for the model.
    """
    engine.ensure([unit for view in views for unit in view.units], told)
    return np.concatenate([_read(engine, view) for view in views])


def _one(text: str) -> TextSet:
    row = {"text_id": 0, "text": text, "category": None}
    return TextSet(ASKED, ASKED, pa.Table.from_pylist([row], schema=TEXT_ENTRIES))


def _read(engine: Engine, view: TextEmbeddings) -> Array:
    found = engine.kept(view.units, lambda: engine.reader.array(view, "embedding"))
    absent = engine.reader.absent(view.units[0])
    if absent:
        if engine.folder.writable:  # said here; the table `errors` is about what is registered
            engine.folder.failures.settle(view.units[0], [])
        (text,) = view.texts.texts
        shown = text if len(text) <= 60 else f"{text[:59]}…"
        raise BadSource(f"{shown!r} {absent[0]}; ask with fewer words")
    return found
