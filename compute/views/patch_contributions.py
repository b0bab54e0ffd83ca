"""The view of what all attention heads together add to each image's embedding from each patch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from ...store.sets import ImageSet, Model
from ...store.views import Array, Axis, Input, Member, Param, Parts, Read
from ..heads import conventions, scalars
from ..heads.contributed import OfImages
from ..heads.conventions import Convention
from ..images.patches import grid_of

if TYPE_CHECKING:
    from ..towers.trace import Trace


@dataclass(frozen=True)
class PatchContributions(OfImages):
    """What all heads of all layers add to each image's embedding from each patch: the sum of c[i,l,h].

    Heatmaps of the whole image encoder and zero-shot segmentation (Gandelsman et al. 2024, sections 3.3 and
    5.3) need no more than this sum, which takes 18 times less room than `token_contributions` for ViT-B/16,
    and 32 times for ViT-L/14. The class token, which lies nowhere, is left out. The embeddings of the images
    are kept beside it, so that to segment takes one forward pass. A unit is 8 images: fill those you look at.
    """

    model: Input[Model]
    images: Input[ImageSet]
    dtype: Param[Literal["float32", "float16"]] = "float32"
    """The data type of the kept sums; float16 takes half the room."""
    convention: Read[Convention] = "own"
    """How ln_post's mean and the biases are shared out: `own`, or as the published code does it."""
    block: ClassVar[int] = 8
    patches: ClassVar[bool] = True
    columns: ClassVar[Mapping[str, str]] = {
        "image_id": "int64",
        "y": "int32",
        "x": "int32",
        "vector": "list[float32]",
    }

    def __post_init__(self) -> None:
        """Refuse a model without a tower that is decomposed, or whose patches lie in no known order."""
        super().__post_init__()
        _ = grid_of(self.model)

    @property
    def dims(self) -> tuple[str, ...]:
        """Image, y, x, joint."""
        return ("image", "y", "x", "joint")

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of these axes."""
        return (len(self.images), *grid_of(self.model), self.model.shape.joint)

    def members(self) -> tuple[Member, ...]:
        """The sums, their means before they are centred, the scalars and embeddings of each image."""
        images, rows, columns, joint = self.shape
        return (
            Member("patch", self.dims, self.shape, self.dtype, (1, rows, columns, joint)),
            Member("mean", ("image", "y", "x"), self.shape[:3], "float32", (self.block, rows, columns)),
            self.scalars(),
            Member("embedding", ("image", "joint"), (images, joint), "float32", (self.block, joint)),
        )

    def collect(self, trace: Trace) -> Mapping[str, Array]:
        """Take the sums, the scalars and the embeddings."""
        if trace.patch is None or trace.patch_mean is None:
            raise ValueError("the pass was run without patches")
        images, places, joint = trace.patch.shape
        rows, columns = grid_of(self.model)
        # Of another number of places no grid is made: their shape is refused by what keeps them.
        grid = (rows, columns) if places == rows * columns else (places, 1)
        return {
            "patch": trace.patch.reshape(images, *grid, joint),
            "mean": trace.patch_mean.reshape(images, *grid),
            "scalars": scalars.collect(trace),
            "embedding": trace.embedding,
        }

    def show(self, parts: Parts, selection: tuple[Axis, ...]) -> Array:
        """Scale the sums as the convention asks for."""
        images, rows, columns, joint = selection
        patch = parts.array(self, "patch", (images, rows, columns, joint))
        mean = parts.array(self, "mean", (images, rows, columns))
        constants = self.maps.constants(parts).select(joint=joint)
        flat = patch.reshape(len(patch), -1, patch.shape[-1])
        means = mean.reshape(len(mean), flat.shape[1])
        found = conventions.patches(
            flat, means, *scalars.read(self, parts, images), constants, self.convention
        )
        return np.asarray(found.reshape(patch.shape))
