"""What a source of models has to answer, whatever made the model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from PIL import Image

from ...store.errors import UnsupportedTower

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ..towers.tower import Tower

    ModelSource = str | nn.Module

Transform = Callable[[Image.Image], "Tensor"]
"""Preprocessing: an RGB picture to "channel y x"."""


class Found(ABC):
    """A model that was found, and not loaded yet."""

    @abstractmethod
    def build(self, precision: str) -> nn.Module:
        """Make the model at a precision, in evaluation mode; `BadSource` where its weights do not load."""

    @abstractmethod
    def image_facts(self, net: nn.Module) -> dict[str, Any]:
        """Give what identifies the side that images go through; made of what JSON has."""

    @abstractmethod
    def transform(self, net: nn.Module) -> Transform:
        """Give the model's own preprocessing."""

    def image_side(self, net: nn.Module) -> nn.Module:
        """Give the module that is called with a batch of images: all of it, as a rule."""
        return net

    for_its_tower: ClassVar[bool] = False
    """Whether a model is of no use where its tower cannot be taken apart, and is refused then."""

    def tower(self, net: nn.Module) -> Tower:
        """Take the vision tower to be taken apart; `UnsupportedTower` says why where it cannot be."""
        kind = type(net).__name__
        raise UnsupportedTower(kind, f"its class is {kind}, whose parts are not known")

    def text_facts(self, net: nn.Module) -> dict[str, Any]:
        """Give what identifies the side that texts go through; nothing where there is none."""
        return {}

    def tokenizer(self) -> Any:
        """Give the model's own tokenizer; None where it has none."""
        return None
