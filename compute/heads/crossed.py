"""What tables of pairs of heads have in common: those of one model beside those of another."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from ...store.sets import TowerShape
from ...store.views import TableView
from ..kinds import Derived
from .moments import Doubles


class Pairs(Derived, TableView):
    """A table with a score for each pair of a head of the model and one of another model.

    The other model's name stands beside the rows, as `other`, and is not kept in them: the same model under
    another name has the same rows.
    """

    version: ClassVar[int] = 2  # 1 kept the other model's name
    axis: ClassVar[str] = "layer"
    keys: ClassVar[tuple[str, ...]] = ("layer", "head", "other_layer", "other_head", "measure")
    columns: ClassVar[Mapping[str, str]] = {
        "layer": "int32",
        "head": "int32",
        "other_layer": "int32",
        "other_head": "int32",
        "measure": "string",
        "score": "float64",
    }

    @property
    @abstractmethod
    def measure(self) -> str:
        """What its scores are called."""

    def pairs(self, layer: int, scores: Doubles) -> dict[str, Any]:
        """Lay out scores "head other_layer other_head" of the heads of a layer; NaN becomes null."""
        heads, layers, others = scores.shape
        places = np.indices(scores.shape).reshape(3, -1).astype(np.int32)
        count = heads * layers * others
        return {
            "layer": np.full(count, layer, np.int32),
            "head": places[0],
            "other_layer": places[1],
            "other_head": places[2],
            "measure": [self.measure] * count,
            "score": [None if np.isnan(each) else float(each) for each in scores.ravel()],
        }


def blank(heads: int, other: TowerShape) -> Doubles:
    """Make room for the scores of a layer's heads with all of another model's."""
    return np.full((heads, other.layers, other.heads), np.nan)
