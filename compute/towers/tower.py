"""A tower as it is taken apart, whatever its family: it runs, is watched meanwhile, and has fixed maps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Self, cast

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ...store.sets import TowerShape
from .trace import Constants, Trace


class Tracing(ABC):
    """A tower that is watched while a `with` block lasts; called with a batch, it traces it.

    The hooks do nothing outside such a call, and leave with the block, whatever ends it.
    """

    _hooks: ExitStack | None = None

    def __init__(self, tower: Tower) -> None:
        """Take a tower."""
        self._whole = tower
        self.shape = tower.shape
        """The tower's shape."""

    def __enter__(self) -> Self:
        with ExitStack() as hooks:
            for handle in self._watch():
                hooks.callback(handle.remove)
            self._hooks = hooks.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._hooks is not None:
            self._hooks.close()
            self._hooks = None

    def __call__(
        self, inputs: Tensor, tokens: bool = False, patches: bool = False, class_token: bool = False
    ) -> Trace:
        """Trace preprocessed images, "image channel y x", or tokenised texts, "text token", in one pass.

        They are taken to the tower's device and precision. `tokens` asks for the token factors too, `patches`
        for what all heads together write from each token that lies somewhere, `class_token` for the factors
        of the first one. A tower in training mode is in evaluation mode meanwhile. Memory grows with the
        batch alone.
        """
        if self._hooks is None:
            raise RuntimeError("nothing is watched yet: `with tower.watch() as tracing: tracing(images)`")
        module = self._whole.module
        with torch.inference_mode(), _evaluating(module):
            device = next(module.parameters()).device
            return self._traced(inputs.to(device), tokens, patches, class_token)

    @abstractmethod
    def _watch(self) -> Iterator[RemovableHandle]:
        """Hook the tower's modules, one after the other."""

    @abstractmethod
    def _traced(self, inputs: Tensor, tokens: bool, patches: bool, class_token: bool) -> Trace:
        """Run a batch on the tower's device, and give its trace."""


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


def running(module: nn.Module, weight: Tensor) -> Callable[[Tensor], Tensor]:
    """Give what runs images through a module as this weight is, and gives the first of its outputs."""

    def run(images: Tensor) -> Tensor:
        output = module(images.to(device=weight.device, dtype=weight.dtype))
        return cast(Tensor, output[0] if isinstance(output, tuple) else output)

    return run


@contextmanager
def _evaluating(tower: nn.Module) -> Iterator[None]:
    """Put the modules that are in training mode in evaluation mode, and back."""
    training = [module for module in tower.modules() if module.training]
    try:
        for module in training:
            module.training = False
        yield
    finally:
        for module in training:
            module.training = True
