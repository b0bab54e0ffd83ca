"""The view of contributions that others have computed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from ...store.errors import NotImported
from ...store.sets import ImageSet, Model
from ...store.views import Array, Axis, Coord, Input, Member, Parts, Read
from ..kinds import ImagePass

DIMS: Mapping[str, tuple[str, ...]] = {
    "heads": ("image", "layer", "head", "joint"),
    "mlps": ("image", "term", "joint"),
    "class-token": ("image", "layer", "joint"),
}
"""The axes of each kind of contributions, as the published code writes them: attn, mlp and cls_attn."""


@dataclass(frozen=True)
class ImportedContributions(ImagePass):
    """What heads or MLPs add to each image's embedding, as others computed it.

    Imported from files that the code of Gandelsman et al. (2024) writes: `heads`, c summed over tokens;
    `mlps`, whose first term is the embedding and the others the MLPs; `class-token`, c of the class token
    summed over heads. Their convention is `clip_prs` (`compute/heads/conventions.py`). Never computed: a
    unit that is missing has to be imported.
    """

    model: Input[Model]
    images: Input[ImageSet]
    convention: Read[Literal["clip_prs"]] = "clip_prs"
    """The one that the published code uses, and the only one in which its files can be read."""
    block: ClassVar[int] = 64
    precious: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Refuse a model for which no contributions were imported: `NotImported`."""
        _ = self.kind

    @property
    def kind(self) -> str:
        """Which contributions these are: a key of `DIMS`."""
        said = self.model.imported
        if said is None or "contributions" not in said:
            raise NotImported(self.model.name, "contributions")
        return str(said["contributions"])

    def constant(self) -> Mapping[str, str]:
        """Name the kind."""
        return {"contributions": self.kind}

    @property
    def dims(self) -> tuple[str, ...]:
        """Those of the kind."""
        return DIMS[self.kind]

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of these axes."""
        return (len(self.images), *self.model.modules[self.kind].shape)

    def coords(self) -> Mapping[str, Coord]:
        """The names of the terms, where these are MLPs."""
        if self.kind != "mlps":
            return {}
        return {"term": ("embedding", *(f"mlp[{layer}]" for layer in range(self.shape[1] - 1)))}

    def members(self) -> tuple[Member, ...]:
        """The contributions."""
        inner = (self.block, 1, *self.shape[2:])
        return (Member("contribution", self.dims, self.shape, "float32", inner),)

    def show(self, parts: Parts, selection: tuple[Axis, ...]) -> Array:
        """Give the contributions as they were imported."""
        return parts.array(self, "contribution", selection)
