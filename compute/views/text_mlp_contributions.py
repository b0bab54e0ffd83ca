"""The view of what each MLP of the text tower adds to each text's embedding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from ...store.sets import Model, TextSet
from ...store.views import Input, Read
from ..heads.contributed import Mlps, OfTexts
from ..heads.conventions import Convention


@dataclass(frozen=True)
class TextMlpContributions(Mlps, OfTexts):
    """What each MLP of the text tower adds to each text's embedding, at the token that is pooled.

    Kept projected to the joint space, with the mean of each MLP's output, as `mlp_contributions` is.
    """

    model: Input[Model]
    texts: Input[TextSet]
    convention: Read[Convention] = "own"
    """How ln_final's mean and the biases are shared out: `own`, or as it is published for images."""
    columns: ClassVar[Mapping[str, str]] = {
        "text_id": "int64",
        "layer": "int32",
        "vector": "list[float32]",
    }
