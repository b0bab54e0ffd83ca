"""The view of what the neurons of a module give for each image."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from ...store.errors import BadSource, UnsuitableModule
from ...store.sets import ImageSet, Model, Module
from ...store.views import Array, Input, Param
from ..kinds import ModulePass
from ..neurons import pooling
from ..neurons.pooled import Pooled

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class NeuronActivations(Pooled, ModulePass):
    """What each neuron of a module gives for each image: its output, pooled over the image's positions.

    `module` is the dotted name of any module that runs once while an image goes through and gives one tensor
    (`belvedere show MODEL` lists them). `pool` takes the mean or the maximum over all positions, the first
    ("cls"), or the one that `token` numbers. Where a module has its neurons elsewhere than last of "token
    neuron" or first of "neuron y x", `channels` says so.
    """

    model: Input[Model]
    images: Input[ImageSet]
    module: Param[str]
    """The dotted name of a module that runs once while an image goes through."""
    pool: Param[Literal["mean", "max", "cls", "token"]] = "mean"
    """What is taken of the positions: their mean or maximum, the first, or the one that `token` numbers."""
    token: Param[int] = 0
    """The position that pool="token" takes, from 0, row by row in a map; negative ones count from the end."""
    channels: Param[Literal["auto", "first", "last"]] = "auto"
    """Where the neurons are: first of "neuron y x" and last of "token neuron", unless this says otherwise."""
    dtype: Param[Literal["float32", "float16"]] = "float32"
    """The data type of what is kept."""
    columns: ClassVar[Mapping[str, str]] = {
        "module": "string",
        "neuron": "int32",
        "image_id": "int64",
        "activation": "float32",
    }

    def __post_init__(self) -> None:
        """Refuse a module that is not there or whose output is no activations, and a token out of range."""
        positions = self._layout()[1]
        if self.pool == "cls" and (len(self._module.shape) == 3 or _is_square(positions)):
            raise BadSource(
                f"pool='cls': {self.module} gives a map of {positions} positions without a class token; "
                "pool='token' takes any position"
            )
        self._settle_token()
        self._check_import()

    def _check_import(self) -> None:
        """Refuse to show what was imported as anything but what it was said to be."""
        said = self.model.imported
        if said is None:
            return
        asked = (self.pool, self.token, self.channels, self.dtype)
        if asked != (said["pool"], 0, "auto", "float32"):
            file, pool = self.model.source.removeprefix("import:"), said["pool"]
            raise UnsuitableModule(
                self.module,
                f"they were imported from {file}, pooled by {pool}",
                f"ask for pool={pool!r}, and for no other parameter",
            )

    @property
    def _module(self) -> Module:
        found = self.model.module(self.module)
        if found.problem is not None:
            near = [name for name, each in self.model.modules.items() if each.problem is None]
            inside = [name for name in near if name.startswith(f"{self.module.rpartition('.')[0]}.")]
            listed = ", ".join((inside or near)[:4])
            hint = f"there are {listed}, …" if listed else "the model has no other"
            raise UnsuitableModule(self.module, found.problem, hint)
        return found

    def _layout(self) -> tuple[int, int]:
        shape = self._module.shape
        try:
            return pooling.layout(shape, self.channels)
        except ValueError as error:
            raise UnsuitableModule(
                self.module, str(error), "say channels='first' or 'last', or take another"
            ) from error

    def collect(self, output: Tensor) -> Mapping[str, Array]:
        """Pool the output; `ArithmeticError` where it is not finite."""
        axis = self._module.image_axis
        pooled = pooling.pool(output, axis, self.pool, self.token, self.channels)
        return {"activation": self._finite(pooled)}


def _is_square(positions: int) -> bool:
    """Tell whether so many tokens are a square map; with a class token before them they never are."""
    return positions > 1 and math.isqrt(positions) ** 2 == positions
