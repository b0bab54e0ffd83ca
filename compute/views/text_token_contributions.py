"""The view of what each attention head of the text tower adds from each token."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from ...store.sets import Model, TextSet
from ...store.views import Input, Param, Read
from ..heads.contributed import OfTexts, Tokens
from ..heads.conventions import Convention


@dataclass(frozen=True)
class TextTokenContributions(Tokens, OfTexts):
    """What each head of the text tower adds to each text's embedding from each token of the text.

    Tokens count from 0, the start of the text, to the tower's context length. Those after the pooled one
    are hidden from it by the causal mask, and add nothing. Its sum over tokens is
    `text_head_contributions`; a unit is 16 texts.
    """

    model: Input[Model]
    texts: Input[TextSet]
    dtype: Param[Literal["float32", "float16"]] = "float32"
    """The data type of the kept factors; float16 takes half the room."""
    convention: Read[Convention] = "own"
    """How ln_final's mean and the biases are shared out: `own`, or as it is published for images."""
    block: ClassVar[int] = 16
    columns: ClassVar[Mapping[str, str]] = {
        "text_id": "int64",
        "layer": "int32",
        "head": "int32",
        "token": "int32",
        "vector": "list[float32]",
    }
