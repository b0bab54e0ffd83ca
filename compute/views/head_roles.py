"""The view of what each head is about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ...store import digest
from ...store.errors import BadSource
from ...store.grid import Grid
from ...store.views import Input, Param, Parts, TableView, Unit
from ..heads.roles import Role, role_of
from ..heads.textspan import Picks
from ..kinds import Derived, Made
from .head_descriptions import HeadDescriptions

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class HeadRoles(Derived, TableView):
    """The category of texts that each head's descriptions come from, where chance does not explain it.

    `p_value` is an exact hypergeometric tail, corrected for all heads and categories. `role` is the
    category with the most variance among those whose `p_value` is below `alpha`, "none" where there is
    none; `score` is that variance, as a share of the head's, along the category's descriptions
    (`compute/heads/roles.py`). A text set without categories gives no roles.
    """

    descriptions: Input[HeadDescriptions]
    share: Param[float] = 0.8
    """Descriptions count until together they explain this part of the head's variance."""
    alpha: Param[float] = 0.05
    """The p-value below which a category is taken for a role."""
    axis: ClassVar[str] = "layer"
    columns: ClassVar[Mapping[str, str]] = {
        "layer": "int32",
        "head": "int32",
        "role": "string",
        "score": "float64",
        "p_value": "float64",
        "runner_up": "string",
    }

    def __post_init__(self) -> None:
        """Refuse shares and levels that are none."""
        if not 0 < self.share <= 1:
            raise BadSource(f"head_roles's share is above 0 and at most 1, not {self.share}")
        if not 0 < self.alpha < 1:
            raise BadSource(f"head_roles's alpha is between 0 and 1, not {self.alpha}")

    @property
    def grid(self) -> Grid:
        """One layer a unit."""
        return self.descriptions.grid

    def needs(self, index: int) -> Sequence[Unit]:
        """List the layer's descriptions."""
        return (self.descriptions.units[index],)

    def contents(self, start: int, stop: int) -> str:
        """Give the digest of the layer's descriptions and the pool's categories."""
        categories = self.descriptions.texts.texts.categories
        pool = digest.of_sequence(category or "" for category in categories)
        return digest.of_sequence([self.descriptions.units[start].key, pool])

    def derive(self, unit: Unit, parts: Parts) -> Made:
        """Judge every head of one layer."""
        pool = self.descriptions.texts.texts.categories
        shape = self.descriptions.moments.contributions.model.shape
        tests = shape.layers * shape.heads * max(1, len({category for category in pool if category}))
        rows = parts.rows(self.descriptions.units[unit.index])
        roles = [
            role_of(_picks(rows, head), pool, tests=tests, share=self.share, alpha=self.alpha)
            for head in range(shape.heads)
        ]
        return Made(rows=_columns(unit.start, roles))


def _picks(rows: pa.Table, head: int) -> Picks:
    """Take one head's texts, as TextSpan chose them."""
    mine = [row for row in rows.to_pylist() if row["head"] == head]
    return Picks(
        text=np.array([row["text_id"] for row in mine], np.int64),
        variance=np.array([row["variance"] for row in mine]),
        cumulative_variance=np.array([row["cumulative_variance"] for row in mine]),
        margin=np.array([row["margin"] for row in mine]),
        rivals=tuple(np.array(row["rivals"], np.int64) for row in mine),
    )


def _columns(layer: int, roles: Sequence[Role]) -> dict[str, Any]:
    return {
        "layer": [layer] * len(roles),
        "head": list(range(len(roles))),
        **{
            name: [getattr(role, name) for role in roles]
            for name in ("role", "score", "p_value", "runner_up")
        },
    }
