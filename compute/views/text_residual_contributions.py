"""The view of all that is neither a head nor an MLP of the text tower, so that the sum is whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from ...store.sets import Model, TextSet
from ...store.views import Input, Read
from ..heads.contributed import OfTexts, Residual
from ..heads.conventions import Convention


@dataclass(frozen=True)
class TextResidualContributions(Residual, OfTexts):
    """All other terms by name, `coords["term"]`: heads, MLPs and these sum to a text's unit-norm embedding.

    Under `own`: embedding (of the pooled token and its position), attn_bias[l] of each layer, ln_final_bias,
    and projection_bias where the text projection has one. Under `clip_prs`: the embedding alone. What the
    pooled token brings differs by text, and is kept.
    """

    model: Input[Model]
    texts: Input[TextSet]
    convention: Read[Convention] = "own"
    """How ln_final's mean and the biases are shared out: `own`, or as it is published for images."""
    columns: ClassVar[Mapping[str, str]] = {
        "text_id": "int64",
        "term": "string",
        "vector": "list[float32]",
    }
