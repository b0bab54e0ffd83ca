"""The view of what each attention head of the text tower adds to each text's embedding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from ...store.sets import Model, TextSet
from ...store.views import Input, Param, Read
from ..heads.contributed import Heads, OfTexts
from ..heads.conventions import Convention


@dataclass(frozen=True)
class TextHeadContributions(Heads, OfTexts):
    """What each head of the text tower adds to each text's embedding, summed over tokens.

    As `head_contributions` is of images: the row that the text tower pools, that of the last token as a
    rule, stands in the class token's place, ln_final in ln_post's and the text projection in P. Kept as
    factors, head_dim numbers per text, layer and head, and multiplied on read with `text_tower_maps`.
    """

    model: Input[Model]
    texts: Input[TextSet]
    dtype: Param[Literal["float32", "float16"]] = "float32"
    """The data type of the kept factors; float16 takes half the room."""
    convention: Read[Convention] = "own"
    """How ln_final's mean and the biases are shared out: `own`, or as it is published for images."""
    columns: ClassVar[Mapping[str, str]] = {
        "text_id": "int64",
        "layer": "int32",
        "head": "int32",
        "vector": "list[float32]",
    }
