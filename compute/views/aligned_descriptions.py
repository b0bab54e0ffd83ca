"""The view of the texts of another model that describe what each head writes, through a linear map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from ...store.views import Input, Parts, Unit
from ..heads.moments import Doubles
from .aligners import Aligners
from .head_descriptions import HeadDescriptions


@dataclass(frozen=True, kw_only=True)
class AlignedDescriptions(HeadDescriptions):
    """The texts that explain most of what each head writes once it is mapped to a space of texts.

    For models without a text tower (Balasubramanian, Basu and Feizi 2024, section 3.2): what a head adds goes
    through the linear map of `aligners` to the space of the model `other`, and TextSpan picks of that one's
    texts. Columns as in `head_descriptions`; `variance` is of what comes out of the map, so look at the `r2`
    of `aligners` first; where that is not above zero there are no descriptions.
    """

    aligner: Input[Aligners]
    bound: ClassVar[Mapping[str, str]] = {"texts": "other"}

    def needs(self, index: int) -> Sequence[Unit]:
        """List the moments, the texts, the tower's maps and the map between the models."""
        return (*super().needs(index), *self.aligner.units)

    def joint_maps(self, layer: int, parts: Parts) -> Doubles:
        """Give what turns moments into contributions to the other space."""
        found: Doubles = self.aligner.matrix(parts).astype("float64") @ super().joint_maps(layer, parts)
        return found
