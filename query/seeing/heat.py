"""What heads add to images from each patch, along a direction or all of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from PIL import Image

from ...compute.images.patches import grid_of, seen_part
from ...compute.images.stretch import over_picture
from ...store.sets import Model
from ...store.views import Array, Unit
from .chosen_heads import Place
from .sheet import Tile

if TYPE_CHECKING:
    from ...compute.running.report import Progress
    from ..lazy.array import LazyArray
    from ..store import Store

LARGEST = 256
"""Pixels of the longer side at which heat is drawn on a tile."""


def heated(store: Store, tile: Tile, row: Mapping[Any, Any], text_id: int) -> Tile:
    """Lay over a tile what a head adds from each patch along a text (Gandelsman et al. 2024, section 5.1).

    The heat of patch t is c[i,l,h,t] · text, with the text's unit embedding; the class token, which lies
    nowhere, is left out. `row` is one of `head_top_images`; what is missing of `token_contributions` for its
    image is filled.
    """
    if isinstance(tile.picture, str):
        return tile
    place = int(row["layer"]), int(row["head"])
    added = Added(store, row["model"], row["image_set"], [place], row.get("convention", "own"))
    texts = store.view("text_embeddings", model=row["model"], texts=row["text_set"])
    return laid(tile, added.model, added.from_patches(int(row["image_id"])) @ texts[text_id])


def laid(tile: Tile, model: Model, heat: Array) -> Tile:
    """Lay a map of patches over the part of a tile's picture that the model sees."""
    picture = cast("Image.Image", tile.picture)
    width, height = picture.size
    scale = min(1.0, LARGEST / max(width, height))
    shape = (max(1, round(height * scale)), max(1, round(width * scale)))
    seen = seen_part(model, width, height)
    return replace(tile, heat=over_picture(heat, seen, width, height, shape))


class Added:
    """What some heads of a model add to the images of a set from each patch."""

    def __init__(
        self, store: Store, model: str | None, images: str, heads: Sequence[Place] | None, convention: str
    ) -> None:
        """Take the heads, or None for all of them; nothing is read yet."""
        names = {"model": model, "images": images, "convention": convention}
        self._patches: LazyArray = store.view("patch_contributions", **names)
        self._tokens: LazyArray = store.view("token_contributions", **names)
        self.heads = heads
        """The heads that are summed over; None for all of them."""
        self._engine = self._patches._engine

    @property
    def model(self) -> Model:
        """The model."""
        return cast("Any", self._patches._view).model  # type: ignore[no-any-return]

    def fill(self, image_ids: Sequence[int], told: Progress) -> None:
        """Compute what is missing for some images: of tokens for some heads, of patches for all."""
        units = [self._unit(self._source(image_id), image_id) for image_id in image_ids]
        self._engine.ensure(list({unit.key: unit for unit in units}.values()), told)

    def from_patches(self, image_id: int) -> Array:
        """Sum over the heads what they add from each patch, "y x joint"; what is missing is filled.

        Of all heads it is read from `patch_contributions`, or from tokens where only these are kept.
        """
        if self._source(image_id) is self._patches:
            return self._patches[image_id]
        every = range(self.model.shape.layers), range(self.model.shape.heads)
        heads = self.heads or [(layer, head) for layer in every[0] for head in every[1]]
        total: Any = 0.0
        for layer, group in groupby(heads, key=lambda each: each[0]):
            some = [head for _, head in group]
            total = total + self._tokens[image_id, layer, some, 1:].sum(axis=0, dtype=np.float64)
        found: Array = total.reshape(*grid_of(self.model), -1)
        return found

    def _source(self, image_id: int) -> LazyArray:
        if self.heads is not None:
            return self._tokens
        there = {each: self._unit(each, image_id).key in self._engine.done(each._view) for each in self._both}
        return self._tokens if there[self._tokens] and not there[self._patches] else self._patches

    @property
    def _both(self) -> tuple[LazyArray, LazyArray]:
        return self._patches, self._tokens

    def _unit(self, of: LazyArray, image_id: int) -> Unit:
        return of._view.units[image_id // of._view.grid.block]
