"""The view of the texts that a neuron's direction is a sparse sum of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ...store import digest
from ...store.errors import BadSource
from ...store.grid import Grid
from ...store.views import Array, Input, Param, Parts, TableView, Unit
from ..heads.second_order import sparse_codes
from ..kinds import Derived, Made
from .second_order_directions import SecondOrderDirections
from .text_embeddings import TextEmbeddings


@dataclass(frozen=True)
class SecondOrderDescriptions(Derived, TableView):
    """The texts whose sparse sum comes nearest to the direction of a neuron's second-order effects.

    By orthogonal matching pursuit (Gandelsman et al. 2025, section 4). Of each text's unit embedding the mean
    of the set's is taken off, and what is left is brought to length 1, so that a coefficient counts what
    tells a text from the others. `rank` goes by the size of the coefficient, which may be negative; `fit` is
    the share of the direction's square that all texts of the neuron make up together.
    """

    directions: Input[SecondOrderDirections]
    texts: Input[TextEmbeddings]
    m: Param[int] = 16
    """Texts of each neuron, at most; the coefficients depend on it."""
    centre: Param[bool] = True
    """Whether the mean of all texts is taken off each."""
    axis: ClassVar[str] = "layer"
    columns: ClassVar[Mapping[str, str]] = {
        "module": "string",
        "layer": "int32",
        "neuron": "int32",
        "rank": "int32",
        "text_id": "int64",
        "description": "string",
        "coefficient": "float64",
        "fit": "float64",
    }

    def __post_init__(self) -> None:
        """Refuse to take no text."""
        if self.m < 1:
            raise BadSource(f"m={self.m}: a direction is a sum of at least 1 text")

    @property
    def grid(self) -> Grid:
        """One layer a unit, all but the last."""
        return self.directions.grid

    def needs(self, index: int) -> Sequence[Unit]:
        """List the layer's directions and all texts."""
        return (self.directions.units[index], *self.texts.units)

    def contents(self, start: int, stop: int) -> str:
        """Give the digest of the layer and of what it is made from."""
        return digest.of_sequence([str(start), *(unit.key for unit in self.needs(start))])

    def derive(self, unit: Unit, parts: Parts) -> Made:
        """Write each direction of one layer as a sum of texts."""
        rows = parts.rows(self.directions.units[unit.start])
        known, texts = self._dictionary(parts)
        directions = np.array(rows["vector"].to_pylist(), np.float64).reshape(len(rows), texts.shape[1])
        codes = sparse_codes(directions, texts, self.m)
        found: dict[str, list[Any]] = {name: [] for name in self.columns}
        said = self.texts.texts.texts
        for row, (neuron, code) in enumerate(zip(rows["neuron"].to_pylist(), codes, strict=True)):
            weighed = zip(code.texts, code.coefficients.tolist(), strict=True)
            for rank, (text, much) in enumerate(sorted(weighed, key=lambda each: (-abs(each[1]), each[0]))):
                told = [rows["module"][row].as_py(), unit.start, neuron, rank, int(known[text])]
                told += [said[known[text]], much, code.share]
                for name, value in zip(self.columns, told, strict=True):
                    found[name].append(value)
        return Made(rows=found)

    def _dictionary(self, parts: Parts) -> tuple[Array, Array]:
        """Give the texts that can be read, by text_id, and their vectors, float64 "text joint".

        Texts that are the mean of all have no direction and are left out.
        """
        embeddings = parts.array(self.texts, "embedding").astype(np.float64)
        known = np.flatnonzero(~np.isnan(embeddings).any(axis=1))
        texts = embeddings[known] - (embeddings[known].mean(axis=0) if self.centre else 0)
        lengths = np.linalg.norm(texts, axis=1)
        there = lengths > 1e-6
        return known[there], texts[there] / lengths[there, None]
