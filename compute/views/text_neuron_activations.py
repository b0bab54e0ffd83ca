"""The view of what the neurons of a text tower's module give for each text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from ...store.errors import UnsuitableModule
from ...store.sets import Model, Module, TextSet
from ...store.views import Array, Input, Param
from ..kinds import TextModulePass
from ..neurons import pooling
from ..neurons.pooled import Pooled

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class TextNeuronActivations(Pooled, TextModulePass):
    """What each neuron of a module gives for each text: its output, pooled over the text's own tokens.

    `module` is the dotted name of any module that runs once while a text goes through and gives "token
    neuron" or "neuron" (`belvedere show MODEL` lists them). `pool` takes the mean or the maximum over the
    text's own tokens, from its start to its end and without padding, the last of these, or the token at the
    position that `token` numbers.
    """

    model: Input[Model]
    texts: Input[TextSet]
    module: Param[str]
    """The dotted name of a module that runs once while a text goes through."""
    pool: Param[Literal["mean", "max", "last", "token"]] = "mean"
    """What is taken of the tokens: their mean or maximum, the last, or the one that `token` numbers."""
    token: Param[int] = 0
    """The position that pool="token" takes, from 0; negative ones count from the end of the padding."""
    dtype: Param[Literal["float32", "float16"]] = "float32"
    """The data type of what is kept."""
    columns: ClassVar[Mapping[str, str]] = {
        "module": "string",
        "neuron": "int32",
        "text_id": "int64",
        "activation": "float32",
    }

    def __post_init__(self) -> None:
        """Refuse a module that is not there or whose output is no activations, and a token out of range."""
        super().__post_init__()
        self._settle_token()

    @property
    def _module(self) -> Module:
        found = self.model.text_module(self.module)
        near = [name for name, each in self.model.text_modules.items() if each.problem is None]
        hint = f"there are {', '.join(near[:4])}, …"
        if found.problem is not None:
            raise UnsuitableModule(self.module, found.problem, hint)
        if len(found.shape) > 2:
            listed = " × ".join(map(str, found.shape))
            raise UnsuitableModule(self.module, f"its output for one text is {listed}", hint)
        return found

    def _layout(self) -> tuple[int, int]:
        return pooling.layout(self._module.shape, "last")

    def collect(self, output: Tensor, lengths: Tensor) -> Mapping[str, Array]:
        """Pool the output; `ArithmeticError` where it is not finite."""
        axis = self._module.image_axis
        pooled = pooling.pool_texts(output, axis, lengths, self.pool, self.token)
        return {"activation": self._finite(pooled)}
