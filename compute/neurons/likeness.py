"""How near texts are in meaning, by the text tower of a model of images and texts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...store.sets import Clip
from ...store.views import Array

if TYPE_CHECKING:
    from ..running.aids import Aids


def listed(texts: Sequence[str]) -> list[str]:
    """Take a list of texts; `TypeError` for a text, whose letters would pass for texts of their own.

    >>> listed(["a cat", "a dog"])
    ['a cat', 'a dog']
    """
    if isinstance(texts, str):
        raise TypeError(f"a list of texts is asked for, and {texts!r} is one text; write [{texts!r}]")
    return list(texts)


class Likeness:
    """Embeddings of some texts, each embedded once, whatever the order in which they were given."""

    def __init__(self, texts: Iterable[str], clip: Clip, aids: Aids) -> None:
        """Embed texts; those that need more tokens than the model reads are left out."""
        self._known: dict[str, Array] = {}
        every = aids.whole(clip, sorted(set(listed(texts) if isinstance(texts, str) else texts)))
        if not every:
            return
        found = aids.text_embeddings(clip, every).astype(np.float64)
        found /= np.linalg.norm(found, axis=1, keepdims=True)  # to the last digit: a text is like itself
        if not np.isfinite(found).all():
            wrong = every[int(np.argmin(np.isfinite(found).all(axis=1)))]
            raise ArithmeticError(f"model {clip.name!r} embeds {wrong!r} as zeros or as no numbers")
        self._known = dict(zip(every, found, strict=True))

    def cosine(self, one: str, other: str) -> float | None:
        """Give the cosine of two texts; None where the model cannot read one of them whole."""
        if one not in self._known or other not in self._known:
            return None
        return float(self._known[one] @ self._known[other])
