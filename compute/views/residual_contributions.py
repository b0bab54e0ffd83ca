"""The view of all that is neither a head nor an MLP, so that the sum is whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from ...store.sets import ImageSet, Model
from ...store.views import Input, Read
from ..heads.contributed import OfImages, Residual
from ..heads.conventions import Convention


@dataclass(frozen=True)
class ResidualContributions(Residual, OfImages):
    """All other terms by name, `coords["term"]`: heads, MLPs and these sum to the unit-norm embedding.

    Under `own`: embedding, attn_bias[l] of each layer, ln_post_bias. Under `clip_prs`: the embedding
    alone. With class-token pooling each is a constant at an image's scale, so only the scale is kept.
    """

    model: Input[Model]
    images: Input[ImageSet]
    convention: Read[Convention] = "own"
    """How ln_post's mean and the biases are shared out: `own`, or as the published code does it."""
    columns: ClassVar[Mapping[str, str]] = {
        "image_id": "int64",
        "term": "string",
        "vector": "list[float32]",
    }
