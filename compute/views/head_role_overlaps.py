"""The view of how far the heads of two models are about the same categories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from ...store import digest
from ...store.grid import Grid
from ...store.views import Input, Parts, Unit
from ..heads.clarity import overlap
from ..heads.crossed import Pairs, blank
from ..kinds import Made
from .head_descriptions import HeadDescriptions


@dataclass(frozen=True)
class HeadRoleOverlaps(Pairs):
    """How far each head and each head of another model are about the same categories of one pool.

    What a head's descriptions explain is summed by category and brought to sum 1; `score` is the sum of the
    smaller of both shares over the categories: 1 where two heads share their variance out alike, 0 where they
    have no category in common (`compute/heads/clarity.py`). Null where no description of a head has a
    category.
    """

    descriptions: Input[HeadDescriptions]
    others: Input[HeadDescriptions]
    bound: ClassVar[Mapping[str, str]] = {"others": "other"}

    @property
    def grid(self) -> Grid:
        """One layer of the model a unit."""
        return self.descriptions.grid

    @property
    def measure(self) -> str:
        """What its scores are called."""
        return "roles"

    def constant(self) -> Mapping[str, str]:
        """Name the other model, and what is measured."""
        return {"other": self.others.texts.model.name, "measure": self.measure}

    def needs(self, index: int) -> Sequence[Unit]:
        """List the layer's descriptions, and all of the other model."""
        found = (self.descriptions.units[index], *self.others.units)
        return list({unit.key: unit for unit in found}.values())

    def contents(self, start: int, stop: int) -> str:
        """Give the digest of these, and of the pool's categories."""
        pool = digest.of_sequence(each or "" for each in self.descriptions.texts.texts.categories)
        keys = (unit.key for unit in (self.descriptions.units[start], *self.others.units))
        return digest.of_sequence([*keys, pool])

    def derive(self, unit: Unit, parts: Parts) -> Made:
        """Compare the heads of one layer with all heads of the other model."""
        shape = self.others.texts.model.shape
        mine = self._categories(self.descriptions, unit.start, parts)
        scores = blank(len(mine), shape)
        for layer in range(shape.layers):
            theirs = self._categories(self.others, layer, parts)
            for head, each in enumerate(mine):
                for other, beside in enumerate(theirs):
                    found = overlap(each, beside)
                    scores[head, layer, other] = scores[head, layer, other] if found is None else found
        return Made(rows=self.pairs(unit.start, scores))

    def _categories(self, view: HeadDescriptions, layer: int, parts: Parts) -> list[dict[str, float]]:
        """Sum up what the descriptions of each category explain, for each head of a layer."""
        pool = view.texts.texts.categories
        found: list[dict[str, float]] = [{} for _ in range(view.moments.shape[1])]
        for row in parts.rows(view.units[layer]).to_pylist():
            if category := pool[row["text_id"]]:
                mine = found[row["head"]]
                mine[category] = mine.get(category, 0.0) + row["variance"]
        return found
