"""The view of how much of what each head writes is about each property of images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ...store import digest
from ...store.errors import NoCategories
from ...store.grid import Grid
from ...store.views import Array, Input, Param, Parts, TableView, Unit
from ..heads.conventions import Convention
from ..heads.spread import along_property
from ..kinds import Derived, Made
from .head_moments import HeadMoments
from .text_embeddings import TextEmbeddings
from .tower_maps import TowerMaps


@dataclass(frozen=True)
class HeadProperties(Derived, TableView):
    """How far the images spread each head along what tells the texts of each category apart.

    A property is a category of the text set, such as `background` with texts about grass, sand and water.
    `variance` is that of the head's contributions along its texts, each direction weighted by how far these
    differ along it, and `share` is its part of all the head's variance, from 0 to 1
    (`compute/heads/spread.py`). Both are null for fewer than two texts that differ; `texts` counts those
    that the model could read. The share of what is spurious less that of what is asked for ranks heads.
    """

    moments: Input[HeadMoments]
    texts: Input[TextEmbeddings]
    convention: Param[Convention] = "own"
    """How ln_post's mean and the biases are shared out: `own`, or as the published code does it."""
    axis: ClassVar[str] = "layer"
    columns: ClassVar[Mapping[str, str]] = {
        "layer": "int32",
        "head": "int32",
        "property": "string",
        "share": "float64",
        "variance": "float64",
        "texts": "int64",
    }

    def __post_init__(self) -> None:
        """Refuse texts without categories: `NoCategories`."""
        if not self.properties:
            hint = "add them from a table with a column category, which says what each text is about"
            raise NoCategories(self.texts.texts.name, hint)

    @property
    def properties(self) -> Mapping[str, Sequence[int]]:
        """The texts of each category by their places, in the order of their first texts."""
        found: dict[str, list[int]] = {}
        for place, category in enumerate(self.texts.texts.categories):
            if category:
                found.setdefault(category, []).append(place)
        return found

    @property
    def maps(self) -> TowerMaps:
        """The tower's constants."""
        return TowerMaps(self.moments.contributions.model)

    @property
    def grid(self) -> Grid:
        """One layer a unit."""
        return Grid(self.moments.shape[0], 1)

    def needs(self, index: int) -> Sequence[Unit]:
        """List all moments, all texts and the tower's maps."""
        return (*self.moments.units, *self.texts.units, *self.maps.units)

    def contents(self, start: int, stop: int) -> str:
        """Give the digest of the layer, of what it is made from and of the texts' categories."""
        categories = (category or "" for category in self.texts.texts.categories)
        return digest.of_sequence([str(start), *(unit.key for unit in self.needs(start)), *categories])

    def derive(self, unit: Unit, parts: Parts) -> Made:
        """Measure every head of one layer along each property."""
        whole = slice(None)
        moments = self.moments.show(parts, (slice(unit.start, unit.stop), whole, whole, whole))[0]
        maps = self.maps.joint_maps(parts, unit.start, self.convention)
        rows: dict[str, list[Any]] = {name: [] for name in self.columns}
        for name, embeddings in self._embedded(parts).items():
            shares = variances = np.full(len(maps), np.nan)
            if len(np.unique(embeddings, axis=0)) > 1:
                shares, variances = along_property(moments, maps, embeddings)
            for head, values in enumerate(zip(shares, variances, strict=True)):
                share, variance = (None if np.isnan(each) else float(each) for each in values)
                found = (unit.start, head, name, share, variance, len(embeddings))
                for column, value in zip(self.columns, found, strict=True):
                    rows[column].append(value)
        return Made(rows=rows, facts={"images": round(float(moments[0, 0, 0]))})

    def _embedded(self, parts: Parts) -> dict[str, Array]:
        """Read the embeddings of each property's texts, but for those too long for the model."""
        every = parts.array(self.texts, "embedding")
        known = np.isfinite(every[:, 0]).tolist()
        return {name: every[[at for at in places if known[at]]] for name, places in self.properties.items()}
