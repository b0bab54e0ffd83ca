"""The view of what each attention head adds to each image's embedding from the class token itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from ...store.errors import UnsupportedTower
from ...store.sets import ImageSet, Model
from ...store.views import Array, Axis, Input, Param, Parts, Read
from ..heads import conventions, scalars
from ..heads.contributed import Heads, OfImages
from ..heads.conventions import Convention

if TYPE_CHECKING:
    from ..towers.trace import Trace


@dataclass(frozen=True)
class ClassTokenContributions(Heads, OfImages):
    """What each head adds to each image's embedding from the class token: c[i,l,h] at token 0.

    The class token's attention to itself, which Gandelsman et al. (2024, section 3.2) ablate. Kept as
    factors α_0 v_0, as many numbers as `head_contributions` keeps, and multiplied on read; the same as
    `token_contributions` has at token 0.
    """

    model: Input[Model]
    images: Input[ImageSet]
    dtype: Param[Literal["float32", "float16"]] = "float32"
    """The data type of the kept factors; float16 takes half the room."""
    convention: Read[Convention] = "own"
    """How ln_post's mean and the biases are shared out: `own`, or as the published code does it."""
    class_token: ClassVar[bool] = True
    columns: ClassVar[Mapping[str, str]] = {
        "image_id": "int64",
        "layer": "int32",
        "head": "int32",
        "vector": "list[float32]",
    }

    def __post_init__(self) -> None:
        """Refuse a model without a tower that is decomposed, or without a class token: `UnsupportedTower`."""
        super().__post_init__()
        if not self.model.shape.prefix:
            raise UnsupportedTower(
                self.model.name, "no class token is among its tokens", wanted="contributions of a class token"
            )

    def collect(self, trace: Trace) -> Mapping[str, Array]:
        """Take the class token's factors and the scalars."""
        if trace.class_factor is None:
            raise ValueError("the pass was run without the class token's factors")
        return {"factor": trace.class_factor, "scalars": scalars.collect(trace)}

    def show(self, parts: Parts, selection: tuple[Axis, ...]) -> Array:
        """Multiply the factors out."""
        images, layers, heads, joint = selection
        factor = parts.array(self, "factor", (images, layers, heads))
        constants = self.maps.constants(parts).select(layers, heads, joint)
        scale = scalars.read(self, parts, images)
        return conventions.class_token(factor, *scale, constants, self.convention)
