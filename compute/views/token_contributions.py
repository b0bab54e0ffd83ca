"""The view of what each attention head adds to each image's embedding from each token."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from ...store.sets import ImageSet, Model
from ...store.views import Input, Param, Read
from ..heads.contributed import OfImages, Tokens
from ..heads.conventions import Convention


@dataclass(frozen=True)
class TokenContributions(Tokens, OfImages):
    """What each head adds to each image's embedding from each token: c[i,l,h]; token 0 is the class token.

    Kept as factors α_i v_i of the class token's query, and multiplied on read as `head_contributions` is
    (Gandelsman et al. 2024, section 3.3); its sum over tokens is `head_contributions`. Every image takes as
    much room as its residual stream in all layers, so a unit is 8 images: fill those that you look at.
    """

    model: Input[Model]
    images: Input[ImageSet]
    dtype: Param[Literal["float32", "float16"]] = "float32"
    """The data type of the kept factors; float16 takes half the room."""
    convention: Read[Convention] = "own"
    """How ln_post's mean and the biases are shared out: `own`, or as the published code does it."""
    block: ClassVar[int] = 8
    columns: ClassVar[Mapping[str, str]] = {
        "image_id": "int64",
        "layer": "int32",
        "head": "int32",
        "token": "int32",
        "vector": "list[float32]",
    }
