"""Where in a picture a head finds what it writes: what each token adds along one of its descriptions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from ..store.errors import BadSource
from ..store.views import Array
from .sheet import Tile

if TYPE_CHECKING:
    from .store import Store


def heated(store: Store, tile: Tile, row: Mapping[Any, Any], text_id: int) -> Tile:
    """Lay over a tile what a head adds from each patch along a text (Gandelsman et al. 2024, section 5.1).

    The heat of patch t is c[i,l,h,t] · text, with the text's unit embedding; the class token, which lies
    nowhere, is left out. Its picture is cut to what the model's preprocessing lets through. `row` is one of
    `head_top_images`; what is missing of `token_contributions` for its image is filled.
    """
    if isinstance(tile.picture, str):
        return tile
    heat = _of_patches(store, row, text_id)
    return replace(tile, picture=seen(tile.picture, store.model(str(row["model"])).image), heat=heat)


def _of_patches(store: Store, row: Mapping[Any, Any], text_id: int) -> Array:
    added = store.view("token_contributions", model=row["model"], images=row["image_set"])
    texts = store.view("text_embeddings", model=row["model"], texts=row["text_set"])
    found = added[int(row["image_id"]), int(row["layer"]), int(row["head"]), 1:] @ texts[text_id]
    side = math.isqrt(len(found))
    if side * side != len(found):
        raise BadSource(
            f"{len(found)} patches of {row['model']!r} are no square, and no heat is drawn of them"
        )
    return np.asarray(found.reshape(side, side))


def seen(picture: Image.Image, facts: Mapping[str, Any]) -> Image.Image:
    """Cut a picture to the part that a model's preprocessing lets through; `facts` is `Model.image`.

    Raises `BadSource` for preprocessing that adds a margin, where patches and picture do not meet.
    """
    mode = facts["preprocessing"].get("resize_mode", "shortest")
    if mode == "squash":
        return picture
    if mode != "shortest":
        raise BadSource(f"no heat is drawn where the preprocessing is resize_mode={mode!r}")
    side = min(picture.size)
    left, upper = (picture.width - side) // 2, (picture.height - side) // 2
    return picture.crop((left, upper, left + side, upper + side))
