"""The view of what each attention head adds to each image's embedding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from ...store.sets import ImageSet, Model
from ...store.views import Input, Param, Read
from ..heads.contributed import Heads, OfImages
from ..heads.conventions import Convention


@dataclass(frozen=True)
class HeadContributions(Heads, OfImages):
    """What each head adds to each image's embedding: c[i,l,h] summed over tokens.

    Kept as factors, head_dim numbers per image, layer and head, and multiplied on read with the tower's
    fixed maps (Gandelsman et al. 2024, section 3.2). `convention` says how ln_post's mean and the biases
    are shared out (`compute/heads/conventions.py`); `dtype` is that of the factors.
    """

    model: Input[Model]
    images: Input[ImageSet]
    dtype: Param[Literal["float32", "float16"]] = "float32"
    """The data type of the kept factors; float16 takes half the room."""
    convention: Read[Convention] = "own"
    """How ln_post's mean and the biases are shared out: `own`, or as the published code does it."""
    columns: ClassVar[Mapping[str, str]] = {
        "image_id": "int64",
        "layer": "int32",
        "head": "int32",
        "vector": "list[float32]",
    }
