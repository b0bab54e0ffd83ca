"""The view of the images nearest to each text by what chosen heads write for them."""

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
from .similar_images import KEPT
from .text_embeddings import TextEmbeddings


@dataclass(frozen=True)
class TextImages(Derived, TableView):
    """The images nearest to each text by what chosen heads write for them, from rank 0 down.

    `score` is the cosine of the heads' summed contributions with the text's embedding, or their inner
    product: what the heads add to the similarity of image and text (`compute/heads/retrieval.py`). Exact, of
    equal ones the first. Texts that are too long for the model and images that could not be read are left
    out.
    """

    chosen: Input[ChosenContributions]
    texts: Input[TextEmbeddings]
    measure: Param[Measure] = "cosine"
    """The cosine of what the heads write with the text's embedding, or the inner product."""
    k: Read[int] = 10
    """Images of each text, at most 50."""
    axis: ClassVar[str] = "text"
    columns: ClassVar[Mapping[str, str]] = {
        "heads": "string",
        "text_id": "int64",
        "rank": "int32",
        "image_id": "int64",
        "score": "float32",
    }

    def __post_init__(self) -> None:
        """Refuse more images than are kept."""
        if not 1 <= self.k <= KEPT:
            raise BadSource(f"k={self.k}: from 1 to {KEPT} images of each text are kept")

    @property
    def grid(self) -> Grid:
        """Blocks of 256 texts."""
        return Grid(len(self.texts.texts), BLOCK)

    def constant(self) -> Mapping[str, str]:
        """Name the condition."""
        return self.chosen.constant()

    def narrow(self, rows: pa.Table) -> pa.Table:
        """Show the first `k` images of each text."""
        return rows.filter(pc.field("rank") < self.k)

    def needs(self, index: int) -> Sequence[Unit]:
        """List what the heads write for all images, and the embeddings of all texts."""
        return (*self.chosen.units, *self.texts.units)

    def contents(self, start: int, stop: int) -> str:
        """Give the digest of the texts' places and of what the rows follow from."""
        return digest.of_sequence([f"{start}:{stop}", *(unit.key for unit in self.needs(0))])

    def derive(self, unit: Unit, parts: Parts) -> Made:
        """Score all images against a block of texts."""
        queries = parts.array(self.texts, "embedding", (slice(unit.start, unit.stop),)).astype(np.float64)
        text, rank, score, image = nearest(self.chosen, parts, queries, measure=self.measure, k=KEPT).found()
        return Made(
            rows={
                "heads": [self.constant().get("heads")] * len(text),
                "text_id": text + unit.start,
                "rank": rank.astype(np.int32),
                "image_id": image,
                "score": score.astype(np.float32),
            }
        )
