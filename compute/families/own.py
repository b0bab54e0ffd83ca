"""A module of one's own, given with its preprocessing; a store keeps what it computed, and not itself."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PIL import Image

from ...store import digest
from ...store.errors import BadSource
from .family import Found, Transform

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class Own(Found):
    """A module in memory, as it was when it was given: a copy, which nobody trains on."""

    module: nn.Module
    """The copy."""
    preprocess: Callable[[Image.Image], Any]
    """Turns an RGB picture to "channel y x"."""
    transform_id: str
    """What identifies the preprocessing: its author's word for it, since code has no digest to trust."""

    @property
    def source(self) -> str:
        """What stands for it in a store."""
        return f"module:{type(self.module).__qualname__}"

    def build(self, precision: str) -> nn.Module:
        """Give it at a precision; a copy, where it is at another."""
        import torch

        wanted = getattr(torch, precision)
        if all(each.dtype == wanted for each in self.module.parameters()):
            return self.module
        return copy.deepcopy(self.module).to(wanted)

    def transform(self, net: nn.Module) -> Transform:
        """Give the preprocessing that came with it."""
        return self.preprocess

    def image_facts(self, net: nn.Module) -> dict[str, Any]:
        """Give the weights, the classes and settings of the modules, and the word for the preprocessing."""
        from ..weights import weights_digest

        return {
            "weights": weights_digest(self.module.state_dict().items()),
            "architecture": {"modules": digest.of_facts(_structure(self.module))},
            "preprocessing": {"transform_id": self.transform_id},
        }


def take(module: Any, transform: Any, transform_id: str | None) -> Own:
    """Take a module of one's own; `BadSource` says what is missing or not as it must be."""
    from torch import nn

    if not isinstance(module, nn.Module):
        raise BadSource(
            f"a model is a source such as 'timm:resnet50.a1_in1k', or a torch module, not {module!r}"
        )
    if transform is None or not transform_id:
        raise BadSource(
            "a module of your own needs transform=…, which turns an RGB picture to a tensor, and "
            "transform_id=…, your word for that preprocessing: change it whenever the preprocessing changes"
        )
    training = [name or "the whole" for name, each in module.named_modules() if each.training]
    if training:
        raise BadSource(
            f"{type(module).__name__} is in training mode ({training[0]}), in which it gives other numbers: "
            "call module.eval() first"
        )
    try:
        kept = copy.deepcopy(module)
    except Exception as error:
        raise BadSource(
            f"{type(module).__name__} cannot be copied ({error}), so it cannot be kept safe"
        ) from error
    return Own(kept, transform, transform_id)


def _structure(module: nn.Module) -> dict[str, Any]:
    """Say of each part its class and the settings that it was made with."""
    return {
        name: [type(each).__qualname__, {k: _plain(v) for k, v in vars(each).items() if _is_setting(k, v)}]
        for name, each in module.named_modules()
    }


def _is_setting(name: str, value: Any) -> bool:
    if name.startswith("_") or name == "training":
        return False
    values = value if isinstance(value, list | tuple) else [value]
    return all(isinstance(each, str | int | float | bool | None) for each in values)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
