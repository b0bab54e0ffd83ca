"""The view of the images at both ends of what a head tells apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...store import digest
from ...store.errors import BadSource
from ...store.grid import Grid
from ...store.views import Array, Input, Parts, Read, TableView, Unit
from ..heads import scalars
from ..heads.directions import Directions, along, components, joined
from ..kinds import Derived, Made
from ..topk import TopK
from .head_contributions import HeadContributions
from .head_descriptions import HeadDescriptions

DESCRIPTIONS, COMPONENTS, KEPT = 20, 5, 50
"""Descriptions and principal components of each head, and images at each end of each, that are kept."""


@dataclass(frozen=True)
class HeadTopImages(Derived, TableView):
    """The images to which a head adds most, and least, along its descriptions and principal components.

    `direction` is the text of a description, and the score c · t with t the text's unit embedding; or
    "component 0", "component 1", …, and the score is along that component, from the mean; "principal
    component 0" where a text is called so. Rank 0, 1, … counts from the highest score, rank −1, −2, … from
    the lowest. Images that could not be read are left out. `m` descriptions, and `k` images of each end, are
    shown.
    """

    descriptions: Input[HeadDescriptions]
    k: Read[int] = 10
    """Images of each end of each direction, at most 50."""
    m: Read[int] = DESCRIPTIONS
    """Descriptions of each head, at most 20."""
    axis: ClassVar[str] = "layer"
    columns: ClassVar[Mapping[str, str]] = {
        "layer": "int32",
        "head": "int32",
        "direction": "string",
        "rank": "int32",
        "image_id": "int64",
        "score": "float64",
    }
    beside: ClassVar[Mapping[str, str]] = {"place": "int32"}

    def __post_init__(self) -> None:
        """Refuse more than is kept."""
        if not 1 <= self.k <= KEPT:
            raise BadSource(f"k={self.k}: from 1 to {KEPT} images of each end are kept")
        if not 1 <= self.m <= DESCRIPTIONS:
            raise BadSource(
                f"m={self.m}: images are kept of at most {DESCRIPTIONS} descriptions of each head"
            )

    @property
    def contributions(self) -> HeadContributions:
        """What the heads add to each image."""
        return self.descriptions.moments.contributions

    @property
    def grid(self) -> Grid:
        """One layer a unit."""
        return self.descriptions.grid

    def narrow(self, rows: pa.Table) -> pa.Table:
        """Show `k` images of each end of the first `m` descriptions, and of the components."""
        rank = pc.field("rank")
        return rows.filter((pc.field("place") < self.m) & (rank < self.k) & (rank >= -self.k))

    def needs(self, index: int) -> Sequence[Unit]:
        """List the layer's descriptions, all that they are made from, and all contributions."""
        described = self.descriptions.units[index]
        return (described, *described.needs, *self.contributions.units)

    def contents(self, start: int, stop: int) -> str:
        """Give the digest of the layer and of what it is made from."""
        return digest.of_sequence([str(start), *(unit.key for unit in self.needs(start))])

    def derive(self, unit: Unit, parts: Parts) -> Made:
        """Score all images along all directions of a layer's heads, and keep both ends."""
        layer = unit.start
        texts = self._texts(layer, parts)
        directions = self._directions(layer, texts, parts)
        highest, lowest = self._ends(layer, directions, parts)
        return Made(rows=self._rows(layer, texts, highest, lowest))

    def _texts(self, layer: int, parts: Parts) -> list[list[int]]:
        """List the first descriptions of each head, by text_id."""
        rows = parts.rows(self.descriptions.units[layer])
        heads: list[list[int]] = [[] for _ in range(self.contributions.shape[2])]
        for row in rows.select(["head", "text_id"]).to_pylist():
            if len(heads[row["head"]]) < DESCRIPTIONS:
                heads[row["head"]].append(row["text_id"])
        return heads

    def _directions(self, layer: int, texts: Sequence[Sequence[int]], parts: Parts) -> Directions:
        described = self.descriptions
        maps = described.maps.joint_maps(parts, layer, described.convention)
        vectors = np.zeros((len(texts), DESCRIPTIONS, maps.shape[1]))
        embeddings = self.descriptions.embeddings(parts)
        for head, chosen in enumerate(texts):
            vectors[head, : len(chosen)] = embeddings[list(chosen)]
        moments = self.descriptions.moments_of(layer, parts)
        return joined(along(maps, vectors), components(maps, moments, COMPONENTS))

    def _ends(self, layer: int, directions: Directions, parts: Parts) -> tuple[TopK, TopK]:
        heads, _, count = directions.weights.shape
        highest, lowest = TopK(heads * count, KEPT), TopK(heads * count, KEPT)
        for block in self.contributions.units:
            images = slice(block.start, block.stop)
            factor = parts.array(self.contributions, "factor", (images, slice(layer, layer + 1)))[:, 0]
            found = directions.scores(factor, *scalars.read(self.contributions, parts, images))
            scores = found.reshape(len(factor), -1)
            numbers = np.arange(block.start, block.stop)
            highest.add(scores, numbers)
            lowest.add(-scores, numbers)
        return highest, lowest

    def _rows(
        self, layer: int, texts: Sequence[Sequence[int]], highest: TopK, lowest: TopK
    ) -> dict[str, Any]:
        both = zip(highest.found(), _from_below(lowest), strict=True)
        column, rank, score, image = (np.concatenate(each) for each in both)
        head, place = np.divmod(column, DESCRIPTIONS + COMPONENTS)
        described = np.array([len(each) for each in texts])[head]
        known = (place < described) | (place >= DESCRIPTIONS)
        order = np.lexsort((rank < 0, place, head))
        order = order[known[order]]
        head, place, rank = head[order], place[order], rank[order]
        return {
            "layer": np.full(len(order), layer, np.int32),
            "head": head.astype(np.int32),
            "direction": [self._name(texts, *at) for at in zip(head.tolist(), place.tolist(), strict=True)],
            "rank": rank.astype(np.int32),
            "image_id": image[order],
            "score": score[order],
            "place": np.where(place < DESCRIPTIONS, place, -1).astype(np.int32),
        }

    def _name(self, texts: Sequence[Sequence[int]], head: int, place: int) -> str:
        known = self.descriptions.texts.texts
        if place < DESCRIPTIONS:
            return known.texts[texts[head][place]]
        component = f"component {place - DESCRIPTIONS}"
        return component if component not in known.known else f"principal {component}"


def _from_below(lowest: TopK) -> tuple[Array, ...]:
    """Give column, rank, score and image of what was found with the sign turned; ranks are negative."""
    column, rank, score, image = lowest.found()
    return column, -1 - rank, -score, image
