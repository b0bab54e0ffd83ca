"""What each neuron of a module gives for each image, or each text: pooled over positions, and kept whole."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from ...store.errors import BadSource
from ...store.sets import Module
from ...store.views import Array, ArrayView, Axis, Member, Parts

if TYPE_CHECKING:
    from torch import Tensor

NEURONS = 256
"""Neurons of one inner chunk, and of one unit of what is made from them."""


def refuse_infinite(found: Array, module: str) -> None:
    """Raise `ArithmeticError` where activations, "input neuron …", are not finite; say of which neurons."""
    if np.isfinite(found).all():
        return
    neurons = np.flatnonzero(~np.isfinite(found).all(axis=(0, *range(2, found.ndim))))
    listed = ", ".join(map(str, neurons[:5].tolist())) + (", …" if len(neurons) > 5 else "")
    raise ArithmeticError(
        f"module {module} gave activations that are not finite: of {len(neurons)} of its {found.shape[1]} "
        f"neurons ({listed}); nothing was kept"
    )


class Pooled(ArrayView):
    """An array of one number for each input and each neuron of a module."""

    module: str
    pool: str
    token: int
    dtype: str

    @property
    @abstractmethod
    def _module(self) -> Module:
        """The module; `UnsuitableModule` and `UnknownName` where its activations cannot be taken."""

    @abstractmethod
    def _layout(self) -> tuple[int, int]:
        """Give how many neurons and how many positions the module has for one input."""

    def _settle_token(self) -> None:
        """Refuse a token without pool="token" or out of range; one position has one identity."""
        positions = self._layout()[1]
        if self.pool != "token" and self.token:
            raise BadSource(f"token={self.token} goes with pool='token', not with pool={self.pool!r}")
        if not -positions <= self.token < positions:
            raise BadSource(f"token={self.token}: {self.module} has {positions} positions")
        object.__setattr__(self, "token", self.token % positions)

    def constant(self) -> Mapping[str, str]:
        """Name the module."""
        return {"module": self.module}

    @property
    def dims(self) -> tuple[str, ...]:
        """Image or text, neuron."""
        return (self.axis, "neuron")

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of these axes."""
        return (self.grid.length, self._layout()[0])

    def members(self) -> tuple[Member, ...]:
        """The activations."""
        inner = (64, min(NEURONS, self.shape[1]))
        return (Member("activation", self.dims, self.shape, self.dtype, inner),)

    def _finite(self, pooled: Tensor) -> Array:
        """Copy to the host, as a module further on may write into it; `ArithmeticError` if not finite."""
        found: Array = pooled.cpu().numpy().copy()
        refuse_infinite(found, self.module)
        return found

    def show(self, parts: Parts, selection: tuple[Axis, ...]) -> Array:
        """Give the activations, in float32."""
        return parts.array(self, "activation", selection).astype(np.float32, copy=False)
