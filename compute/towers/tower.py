"""A tower as it is taken apart, whatever its family: it runs, is watched meanwhile, and has fixed maps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Protocol, Self

from torch import Tensor, nn

from ...store.sets import TowerShape
from .trace import Constants, Trace


class Tracing(Protocol):
    """A tower that is watched while a `with` block lasts; called with a batch, it traces it."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def __call__(
        self, inputs: Tensor, tokens: bool = False, patches: bool = False, class_token: bool = False
    ) -> Trace:
        """Trace preprocessed images, "image channel y x", or tokenised texts, "text token", in one pass.

        They are taken to the tower's device and precision. `tokens` asks for the token factors too, `patches`
        for what all heads together write from each token that lies somewhere, `class_token` for the factors
        of the first one. A tower in training mode is in evaluation mode meanwhile.
        """
        ...


class Tower(ABC):
    """A tower that is taken apart."""

    module: nn.Module
    """The module that is run, in evaluation mode."""
    shape: TowerShape
    """Its sizes, and how far it is taken apart."""
    run: Callable[[Tensor], Tensor]
    """Runs a batch on the tower's device, and gives its outputs, "input joint", not normalised."""

    @abstractmethod
    def watch(self, neurons: Sequence[int] = ()) -> Tracing:
        """Make what watches the tower while a `with` block lasts.

        `neurons` are layers: what later heads read of the neurons of their MLPs is traced, too. Raises
        `UnsupportedTower` where that cannot be.
        """

    @abstractmethod
    def constants(self) -> Constants:
        """Compute the tower's fixed maps."""
