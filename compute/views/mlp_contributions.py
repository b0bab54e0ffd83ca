"""The view of what each MLP adds to each image's embedding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from ...store.errors import UnsupportedTower
from ...store.sets import ImageSet, Model
from ...store.views import Input, Read
from ..heads.contributed import Mlps, OfImages
from ..heads.conventions import Convention


@dataclass(frozen=True)
class MlpContributions(Mlps, OfImages):
    """What each MLP adds to each image's embedding, at the class token.

    Kept projected to the joint space, with the mean of each MLP's output, so that both conventions are
    read from it (Gandelsman et al. 2024, appendix A.1; `compute/heads/conventions.py`).
    """

    model: Input[Model]
    images: Input[ImageSet]
    convention: Read[Convention] = "own"
    """How ln_post's mean and the biases are shared out: `own`, or as the published code does it."""
    columns: ClassVar[Mapping[str, str]] = {
        "image_id": "int64",
        "layer": "int32",
        "vector": "list[float32]",
    }

    def __post_init__(self) -> None:
        """Refuse a model whose attention layers and MLPs are not taken apart: `UnsupportedTower`."""
        super().__post_init__()
        if self.model.shape.grade != "heads":
            raise UnsupportedTower(
                self.model.name,
                f"its {self.model.shape.grade} alone are taken apart, and no MLP is among its terms",
                wanted="MLP contributions",
            )
