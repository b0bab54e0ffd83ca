"""The heads of a model as a reader meets them: what each is about, and what it says of each image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...store.views import Array

if TYPE_CHECKING:
    from ..store import Store

CLEAR = """
SELECT layer, head, role, score, p_value, runner_up
FROM head_roles
WHERE model = $model AND image_set = $images AND text_set = $texts
ORDER BY role = 'none',
         row_number() OVER (PARTITION BY role ORDER BY score DESC, p_value, layer DESC, head),
         score DESC, p_value, layer DESC, head
LIMIT $count
"""
"""The clearest head of each role, then the second of each, and so on; heads without a role come last."""

DESCRIBED = """
SELECT text_id, description, variance
FROM head_descriptions
WHERE model = $model AND image_set = $images AND text_set = $texts AND layer = $layer AND head = $head
ORDER BY rank
LIMIT $count
"""


@dataclass(frozen=True, slots=True)
class Names:
    """The inputs that views of heads are asked of."""

    model: str
    """A model's name."""
    images: str
    """An image set's name."""
    texts: str
    """A text set's name."""

    @property
    def bound(self) -> dict[str, str]:
        """The names as values of `$model`, `$images` and `$texts`."""
        return {"model": self.model, "images": self.images, "texts": self.texts}


@dataclass(frozen=True, slots=True)
class Described:
    """One of a head's descriptions."""

    text_id: int
    """Its place in the text set."""
    description: str
    """The text."""
    variance: float
    """The share of the head's variance that it explains after those before it."""


@dataclass(frozen=True, slots=True)
class Head:
    """What one head is about."""

    layer: int
    """Its layer, counted from 0."""
    head: int
    """Its place in the layer, counted from 0."""
    role: str
    """The category of texts that it is about, or "none"."""
    score: float
    """The share of its variance along texts of the category."""
    p_value: float
    """The chance of that many texts of one category, corrected for all that was asked."""
    runner_up: str
    """The next category; the nearest one where the role is "none"."""

    @property
    def about(self) -> str:
        """Its role in words."""
        return self.role if self.role != "none" else f"no clear role; nearest is {self.runner_up}"

    @property
    def title(self) -> str:
        """Its place, in short."""
        return f"layer {self.layer}, head {self.head}"


@dataclass(frozen=True, slots=True)
class Agreement:
    """How scores of images differ between classes or groups that are known."""

    column: str
    """What is known: `label` or `grp`."""
    explained: float
    """The share of the scores' variance that lies between its values, from 0 to 1."""
    means: list[tuple[str, float]]
    """Its values with the mean score of each, in standard deviations from the mean of all; largest first."""


def clear_heads(store: Store, names: Names, count: int) -> list[Head]:
    """Give the heads with the clearest roles, the clearest of each role first; what is missing is filled."""
    store.view("head_roles", model=names.model, images=names.images, texts=names.texts).fill(progress=False)
    return [Head(*row) for row in store.sql(CLEAR, {**names.bound, "count": count}).fetchall()]


def descriptions(store: Store, names: Names, head: Head, count: int) -> list[Described]:
    """Give a head's first descriptions."""
    place = {"layer": head.layer, "head": head.head, "count": count}
    return [Described(*row) for row in store.sql(DESCRIBED, {**names.bound, **place}).fetchall()]


def projections(store: Store, names: Names, head: Head, text_id: int) -> Array:
    """Project what a head adds to each image's embedding on a text's unit-norm embedding.

    Returns:
        Float32 "image"; NaN where the image could not be read.
    """
    added = store.view("head_contributions", model=names.model, images=names.images)
    added.fill(progress=False)
    text = store.view("text_embeddings", model=names.model, texts=names.texts)[text_id]
    written: Any = added.read((slice(None), head.layer, head.head), missing="mask")
    scores: Array = written.filled(np.nan) @ text
    return scores


def agreement(store: Store, names: Names, scores: Array) -> Agreement | None:
    """Hold scores "image" against what is known of the images: their label, or their group.

    Of the two, the one that explains more of the scores; None where the images have neither.
    """
    query = "SELECT label, grp FROM images WHERE image_set = $images ORDER BY image_id"
    there = ~np.isnan(scores)
    known = store.sql(query, {"images": names.images}).df()[there]
    scaled = (scores[there] - scores[there].mean()) / scores[there].std()
    found = []
    for column in ("label", "grp"):
        groups = known.assign(score=scaled).dropna(subset=[column]).groupby(column)["score"]
        if groups.ngroups > 1:
            means = sorted(groups.mean().items(), key=lambda each: -each[1])
            explained = float((groups.mean() ** 2 * groups.size()).sum() / groups.size().sum())
            found.append(Agreement(column, explained, [(str(name), float(mean)) for name, mean in means]))
    return max(found, key=lambda each: each.explained, default=None)


def foremost(store: Store, names: Names, head: Head, said: Described, count: int) -> list[int]:
    """Give the images to which a head adds most along a description of its, most first; filled if need be."""
    table = store.view("head_top_images", model=names.model, images=names.images, texts=names.texts, k=count)
    place = "layer = ? AND head = ? AND direction = ? AND rank >= 0"
    rows = table.where(place, head.layer, head.head, said.description).arrow()
    return [int(image) for image in rows["image_id"].to_pylist()]
