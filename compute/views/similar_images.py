"""The view of the images that are most alike to each image in what chosen heads write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...store import digest
from ...store.errors import BadSource
from ...store.grid import Grid
from ...store.views import Input, Param, Parts, Read, TableView, Unit
from ..heads.retrieval import Measure, nearest
from ..kinds import BLOCK, Derived, Made
from .chosen_contributions import ChosenContributions

KEPT = 50
"""Images kept of each query."""


@dataclass(frozen=True)
class SimilarImages(Derived, TableView):
    """The images nearest to each image, `query`, by what chosen heads write for them, from rank 0 down.

    `score` is the cosine of both sums of contributions, or their inner product
    (`compute/heads/retrieval.py`); exact, of equal ones the first. An image is none of its own neighbours,
    but a copy of it is one. Images that could not be read, or for which the heads write nothing, are left
    out.
    """

    chosen: Input[ChosenContributions]
    measure: Param[Measure] = "cosine"
    """The cosine of what the heads write for two images, or the inner product."""
    k: Read[int] = 10
    """Images of each query, at most 50."""
    axis: ClassVar[str] = "query"
    keys: ClassVar[tuple[str, ...]] = ("query", "image_id")
    columns: ClassVar[Mapping[str, str]] = {
        "heads": "string",
        "query": "int64",
        "rank": "int32",
        "image_id": "int64",
        "score": "float32",
    }

    def __post_init__(self) -> None:
        """Refuse more images than are kept."""
        if not 1 <= self.k <= KEPT:
            raise BadSource(f"k={self.k}: from 1 to {KEPT} images of each query are kept")

    @property
    def grid(self) -> Grid:
        """Blocks of 256 queries."""
        return Grid(len(self.chosen.images), BLOCK)

    def constant(self) -> Mapping[str, str]:
        """Name the condition."""
        return self.chosen.constant()

    def narrow(self, rows: pa.Table) -> pa.Table:
        """Show the first `k` images of each query."""
        return rows.filter(pc.field("rank") < self.k)

    def needs(self, index: int) -> Sequence[Unit]:
        """List what the heads write for all images."""
        return self.chosen.units

    def contents(self, start: int, stop: int) -> str:
        """Give the digest of the queries and of what the heads write for all images."""
        return digest.of_sequence([f"{start}:{stop}", *(unit.key for unit in self.chosen.units)])

    def derive(self, unit: Unit, parts: Parts) -> Made:
        """Score all images against a block of them."""
        asked = np.arange(unit.start, unit.stop)
        queries = parts.array(self.chosen, "vector", (slice(unit.start, unit.stop),)).astype(np.float64)
        found = nearest(self.chosen, parts, queries, measure=self.measure, k=KEPT, besides=asked)
        query, rank, score, image = found.found()
        return Made(
            rows={
                "heads": [self.constant().get("heads")] * len(query),
                "query": asked[query],
                "rank": rank.astype(np.int32),
                "image_id": image,
                "score": score.astype(np.float32),
            }
        )
