"""A module of one's own, given with its preprocessing; a store keeps what it computed, and not itself."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PIL import Image

from ....store import digest
from ....store.errors import BadSource
from .. import tokenizers
from ..family import Found, Transform
from ..made_of import hooks
from ..tokenizers import teach
from . import two_sided

if TYPE_CHECKING:
    from torch import nn

    from ...towers.tower import Tower


@dataclass(frozen=True, slots=True)
class Own(Found):
    """A module in memory, as it was when it was given: a copy, which nobody trains on."""

    module: nn.Module
    """The copy."""
    preprocess: Callable[[Image.Image], Any]
    """Turns an RGB picture to "channel y x"."""
    transform_id: str
    """What identifies the preprocessing: its author's word for it, since code has no digest to trust."""
    turns_texts: Any = None
    """Its tokenizer, called as open_clip's are; None where no texts are to be embedded."""

    @property
    def source(self) -> str:
        """What stands for it in a store."""
        return f"module:{type(self.module).__qualname__}"

    def build(self, precision: str) -> nn.Module:
        """Give a copy at a precision."""
        import torch

        net = copy.deepcopy(self.module).to(getattr(torch, precision)).eval()
        if self.turns_texts is not None and not hasattr(net, "encode_text"):
            teach(net)
        return net

    def image_side(self, net: nn.Module) -> nn.Module:
        """Give the part that images go through, of a model with another one for texts; else all of it."""
        return two_sided.image_side(net)

    def tower(self, net: nn.Module) -> Tower:
        """Take it apart where it is a tower whose parts are known."""
        return two_sided.tower(net)

    def transform(self, net: nn.Module) -> Transform:
        """Give the preprocessing that came with it."""
        return self.preprocess

    def image_facts(self, net: nn.Module) -> dict[str, Any]:
        """Give the weights, the code and settings of the modules, and the word for the preprocessing."""
        return {
            **two_sided.of_images(self.module),
            "preprocessing": {"transform_id": self.transform_id},
        }

    def text_facts(self, net: nn.Module) -> dict[str, Any]:
        """Give the same of all other modules, and the vocabulary; nothing without a tokenizer."""
        if self.turns_texts is None:
            return {}
        tokens = self.turns_texts
        return {
            **two_sided.of_texts(self.module),
            "tokenizer": {
                "vocabulary": tokenizers.vocabulary(tokens),
                "context_length": int(tokens.context_length),
                "settings": digest.of_facts(two_sided.settings(tokens)),
            },
        }

    def tokenizer(self) -> Any:
        """Give the tokenizer that came with it; None where there was none."""
        return self.turns_texts


def take(module: Any, transform: Any, transform_id: str | None, tokenizer: Any = None) -> Own:
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
    hooked = [
        name or "the whole" for name, each in module.named_modules() if not all(map(_is_known, hooks(each)))
    ]
    if hooked:
        raise BadSource(
            f"{type(module).__name__} has forward hooks (on {hooked[0]}), and what they change has no "
            "digest: remove them, or write what they do into forward"
        )
    try:
        kept = copy.deepcopy(module)
    except Exception as error:
        raise BadSource(
            f"{type(module).__name__} cannot be copied ({error}), so it cannot be kept safe"
        ) from error
    two_sided.check_images(kept, transform)
    tokens = two_sided.tokenizer_of(kept, copy.deepcopy(tokenizer))
    if tokens is not None:
        two_sided.check_texts(kept, tokens)
    return Own(kept, transform, transform_id, tokens)


def _is_known(hook: Any) -> bool:
    """Tell whether a hook says itself what it does, as those that norm weights do."""
    return type(hook).__module__.startswith("torch.nn.utils.")
