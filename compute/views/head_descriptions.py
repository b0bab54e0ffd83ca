"""The view of the texts that describe what each head writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...store import digest
from ...store.errors import BadSource
from ...store.grid import Grid
from ...store.views import Array, Input, Param, Parts, Read, TableView, Unit
from ..heads.conventions import Convention
from ..heads.moments import Doubles
from ..heads.textspan import Picks, layer_textspan
from ..kinds import Derived, Made
from .head_moments import HeadMoments
from .text_embeddings import TextEmbeddings
from .tower_maps import TowerMaps

KEPT = 60
"""Descriptions kept of each head, as many as the paper's longest lists have; `m` of them are shown."""


@dataclass(frozen=True)
class HeadDescriptions(Derived, TableView):
    """The texts that explain most of what each head writes (TextSpan, Gandelsman et al. 2024).

    Chosen from the head's moments, without an image (`compute/heads/textspan.py`). `variance` is the share of
    the head's variance that a text explains after those before it, `margin` how far the runner-up was
    behind, from 0 (a tie, won by the first) to 1. `span` says to which directions texts are projected.
    """

    moments: Input[HeadMoments]
    texts: Input[TextEmbeddings]
    convention: Param[Convention] = "own"
    """How ln_post's mean and the biases are shared out: `own`, or as the published code does it."""
    span: Param[Literal["weights", "svd", "full"]] = "weights"
    """Directions that texts are projected to: what a head can write, writes most, or writes at all."""
    m: Read[int] = 20
    """Descriptions of each head, at most 60."""
    axis: ClassVar[str] = "layer"
    columns: ClassVar[Mapping[str, str]] = {
        "layer": "int32",
        "head": "int32",
        "rank": "int32",
        "text_id": "int64",
        "description": "string",
        "variance": "float64",
        "cumulative_variance": "float64",
        "margin": "float64",
    }
    beside: ClassVar[Mapping[str, str]] = {"rivals": "list[int64]"}

    @property
    def maps(self) -> TowerMaps:
        """The tower's constants."""
        return TowerMaps(self.moments.contributions.model)

    @property
    def grid(self) -> Grid:
        """One layer a unit."""
        return Grid(self.moments.shape[0], 1)

    def __post_init__(self) -> None:
        if not 1 <= self.m <= KEPT:
            raise BadSource(f"m={self.m}: from 1 to {KEPT} descriptions of each head are kept")

    def narrow(self, rows: pa.Table) -> pa.Table:
        """Show the first `m` descriptions of each head."""
        return rows.filter(pc.field("rank") < self.m)

    def needs(self, index: int) -> Sequence[Unit]:
        """List all moments, all texts and the tower's maps."""
        return (*self.moments.units, *self.texts.units, *self.maps.units)

    def contents(self, start: int, stop: int) -> str:
        """Give the digest of the layer and of what it is made from."""
        return digest.of_sequence([str(start), *(unit.key for unit in self.needs(start))])

    def derive(self, unit: Unit, parts: Parts) -> Made:
        """Run TextSpan on every head of one layer."""
        found = self.moments_of(unit.start, parts)
        maps = self.joint_maps(unit.start, parts)
        picks = layer_textspan(found, maps, self.embeddings(parts), m=KEPT, span=self.span)
        return Made(rows=self._rows(unit.start, picks), facts={"images": round(float(found[0, 0, 0]))})

    def moments_of(self, layer: int, parts: Parts) -> Array:
        """Read the moments of a layer's heads over all images, float64 "head factor factor"."""
        whole = slice(None)
        found: Array = self.moments.show(parts, (slice(layer, layer + 1), whole, whole, whole))[0]
        return found

    def joint_maps(self, layer: int, parts: Parts) -> Doubles:
        """Give what turns the coordinates of a layer's moments into contributions, in float64."""
        return self.maps.joint_maps(parts, layer, self.convention)

    def embeddings(self, parts: Parts) -> Array:
        """Read the embeddings of all texts, "text joint"; NaN for those too long for the model."""
        every = digest.of_sequence(unit.key for unit in self.texts.units)
        return parts.once(every, lambda: parts.array(self.texts, "embedding"))

    def _rows(self, layer: int, picks: Sequence[Picks]) -> dict[str, Any]:
        texts = self.texts.texts.texts
        counts = [len(each.text) for each in picks]
        chosen = np.concatenate([each.text for each in picks])
        return {
            "layer": np.full(len(chosen), layer, np.int32),
            "head": np.repeat(np.arange(len(picks), dtype=np.int32), counts),
            "rank": np.concatenate([np.arange(count, dtype=np.int32) for count in counts]),
            "text_id": chosen,
            "description": [texts[text] for text in chosen],
            "variance": np.concatenate([each.variance for each in picks]),
            "cumulative_variance": np.concatenate([each.cumulative_variance for each in picks]),
            "margin": np.concatenate([each.margin for each in picks]),
            "rivals": [rows.tolist() for each in picks for rows in each.rivals],
        }
