"""The view of how clear each head is about one thing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import ClassVar

from ...store import digest
from ...store.errors import BadSource
from ...store.grid import Grid
from ...store.views import Input, Param, Parts, TableView, Unit
from ..heads.clarity import Clarity, clarity
from ..kinds import Derived, Made
from .head_descriptions import HeadDescriptions
from .head_roles import HeadRoles


@dataclass(frozen=True)
class HeadClarity(Derived, TableView):
    """How few descriptions each head's variance is spread over, and how much of it its role has.

    `descriptions` and `categories` are effective numbers: exp of the entropy of what each of the 60 kept
    descriptions, or the descriptions of each category, explain (`compute/heads/clarity.py`). `role_share` is
    the share of what is explained along descriptions of the role, or of the leading category where the role
    is none. `clear_role` is the role where that is at least `least`, else none. Null where nothing describes
    a head, as one that writes the same for all images.
    """

    roles: Input[HeadRoles]
    least: Param[float] = 0.5
    """The share of what is explained that a role has to have to be clear."""
    axis: ClassVar[str] = "layer"
    columns: ClassVar[Mapping[str, str]] = {
        "layer": "int32",
        "head": "int32",
        "explained": "float64",
        "leading": "float64",
        "descriptions": "float64",
        "categories": "float64",
        "role": "string",
        "role_share": "float64",
        "clear_role": "string",
    }

    def __post_init__(self) -> None:
        """Refuse a share that is none."""
        if not 0 < self.least <= 1:
            raise BadSource(f"head_clarity's least is above 0 and at most 1, not {self.least}")

    @property
    def described(self) -> HeadDescriptions:
        """The descriptions."""
        return self.roles.descriptions

    @property
    def grid(self) -> Grid:
        """One layer a unit."""
        return self.roles.grid

    def needs(self, index: int) -> Sequence[Unit]:
        """List the layer's roles and descriptions."""
        return (self.roles.units[index], self.described.units[index])

    def contents(self, start: int, stop: int) -> str:
        """Give the digest of both; the roles' has the pool's categories."""
        return digest.of_sequence(unit.key for unit in self.needs(start))

    def derive(self, unit: Unit, parts: Parts) -> Made:
        """Measure every head of one layer."""
        roles, described = (parts.rows(each).to_pylist() for each in self.needs(unit.index))
        pool = self.described.texts.texts.categories
        found = []
        for row in roles:
            mine = [each for each in described if each["head"] == row["head"]]
            categories = [pool[each["text_id"]] for each in mine]
            variances = [each["variance"] for each in mine]
            found.append(clarity(variances, categories, row["role"], least=self.least))
        return Made(
            rows={
                "layer": [row["layer"] for row in roles],
                "head": [row["head"] for row in roles],
                **{field.name: [getattr(each, field.name) for each in found] for field in fields(Clarity)},
            }
        )
