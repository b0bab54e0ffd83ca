"""A module of one's own, given with its preprocessing; a store keeps what it computed, and not itself."""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from PIL import Image

from ....store import digest
from ....store.errors import BadSource, UnsupportedTower
from .. import tokenizers
from ..family import Found, Transform
from ..tokenizers import teach

if TYPE_CHECKING:
    from torch import nn

    from ...towers.tower import Tower


_LIBRARIES = frozenset(
    {"_operator", "builtins", "math", "open_clip", "timm", "torch", "torchvision", "transformers"}
)
"""Packages whose code is known by their versions, which are recorded with what is computed."""


SIDES = ("visual", "vision_model")
"""What open_clip and transformers call the part of a model that images go through, beside one for texts."""


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
        return _image_side(net)

    def tower(self, net: nn.Module) -> Tower:
        """Take it apart where it is a tower whose parts are known."""
        from ...towers.vision import vision

        return vision(getattr(net, "visual", net))

    def transform(self, net: nn.Module) -> Transform:
        """Give the preprocessing that came with it."""
        return self.preprocess

    def image_facts(self, net: nn.Module) -> dict[str, Any]:
        """Give the weights, the code and settings of the modules, and the word for the preprocessing."""
        side = _image_side(self.module)
        beside = () if side is self.module else ("visual_projection",)  # of CLIP as transformers has it
        return {
            **_identified(self.module, lambda name: _is_of(name, (*_names(self.module, side), *beside))),
            "preprocessing": {"transform_id": self.transform_id},
        }

    def text_facts(self, net: nn.Module) -> dict[str, Any]:
        """Give the same of all other modules, and the vocabulary; nothing without a tokenizer."""
        if self.turns_texts is None:
            return {}
        images = (*SIDES, "visual_projection", "logit_scale", "logit_bias")
        tokens, facts = self.turns_texts, _identified(self.module, lambda name: not _is_of(name, images))
        return {
            **facts,
            "architecture": {**facts["architecture"], **_text_sizes(self.module)},
            "tokenizer": {
                "vocabulary": tokenizers.vocabulary(tokens),
                "context_length": int(tokens.context_length),
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
        name or "the whole" for name, each in module.named_modules() if not all(map(_is_known, _hooks(each)))
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
    return Own(kept, transform, transform_id, _tokenizer(module, tokenizer))


def _tokenizer(module: Any, given: Any) -> Any:
    """Give a tokenizer as open_clip's are called; `BadSource` where it is of no use."""
    if given is None:
        return None
    if not hasattr(module, "encode_text") and not hasattr(module, "get_text_features"):
        raise BadSource(
            f"tokenizer=… goes with a model that embeds texts, and {type(module).__name__} has neither "
            "encode_text nor get_text_features"
        )
    return tokenizers.taken(given, getattr(getattr(module, "config", None), "text_config", None))


def _image_side(net: nn.Module) -> nn.Module:
    """Give the part of a model of two sides that images go through; else the whole."""
    from torch import nn

    if not hasattr(net, "encode_text") and not hasattr(net, "get_text_features"):
        return net
    found = (getattr(net, name, None) for name in SIDES)
    return next((each for each in found if isinstance(each, nn.Module)), net)


def _text_sizes(net: nn.Module) -> dict[str, Any]:
    """Give the sizes of a text tower that is taken apart, as open_clip's configurations have them."""
    from ...towers.text import text

    try:
        tower = text(net)
    except UnsupportedTower:
        return {}
    shape, projection = tower.shape, tower.projection
    sizes = {"layers": shape.layers, "heads": shape.heads, "width": shape.width}
    last = {"proj_type": "none"} if projection is None else {}
    bias = {"proj_bias": True} if getattr(projection, "bias", None) is not None else {}
    return {
        "text_cfg": {**sizes, "context_length": shape.tokens, **last, **bias},
        "embed_dim": shape.joint,
    }


def _names(net: nn.Module, side: nn.Module) -> tuple[str, ...]:
    """Give the names under which a part of a model is; none for the whole."""
    return tuple(name for name, each in net.named_modules() if each is side and name)


def _is_of(name: str, parts: Sequence[str]) -> bool:
    """Tell whether a module or a weight is one of these parts, or in one; all are where there are none."""
    return not parts or any(name == part or name.startswith(f"{part}.") for part in parts)


def _identified(net: nn.Module, wanted: Callable[[str], bool]) -> dict[str, Any]:
    """Give the weights of some parts, and their code and settings."""
    from ..weights import weights_digest

    kept = {**net.state_dict(), **dict(net.named_buffers())}
    structure = {name: each for name, each in _structure(net).items() if wanted(name)}
    return {
        "weights": weights_digest((name, value) for name, value in kept.items() if wanted(name)),
        "architecture": {"modules": digest.of_facts(structure)},
    }


def _hooks(module: nn.Module) -> list[Any]:
    """Give what runs before and after a module's own code."""
    return [*module._forward_pre_hooks.values(), *module._forward_hooks.values()]


def _is_known(hook: Any) -> bool:
    """Tell whether a hook says itself what it does, as those that norm weights do."""
    return type(hook).__module__.startswith("torch.nn.utils.")


def _structure(module: nn.Module) -> dict[str, Any]:
    """Say of each part its class, with its code where that is no library's, and what it was made with."""
    from torch import nn

    every = set(vars(nn.Module()))  # parts and weights, which are looked at elsewhere, or no number's cause
    return {
        name: [
            _code(type(each)),
            {k: _plain(v) for k, v in sorted(vars(each).items()) if k not in every},
            *[[_code(type(hook)), _plain(vars(hook))] for hook in _hooks(each)],
        ]
        for name, each in module.named_modules()
    }


def _plain(value: Any, within: tuple[Any, ...] = ()) -> Any:
    """Write down an attribute of a module; of what says nothing of itself, its class."""
    import torch

    if isinstance(value, bool | int | str | None):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else repr(value)
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return [[_plain(key), _plain(each)] for key, each in value.items()]
    if isinstance(value, torch.Tensor):
        from ..weights import weights_digest

        return weights_digest([("", value)])
    if isinstance(value, partial):
        return [_plain(value.func), _plain(value.args), _plain(value.keywords)]
    if not callable(value) or not hasattr(value, "__qualname__"):
        return _code(type(value))
    if value in within:  # it calls itself
        return _code(value)
    held = [_plain(each, (*within, value)) for each in _held(value)]
    return [*_code(value), held] if held else _code(value)


def _held(function: Any) -> list[Any]:
    """Give the values that a function has beside its code: of its closure, and its defaults."""
    cells, held = getattr(function, "__closure__", None) or (), []
    for cell in cells:
        with suppress(ValueError):  # a name that has no value yet
            held.append(cell.cell_contents)
    named = getattr(function, "__kwdefaults__", None) or {}
    return [*held, *(getattr(function, "__defaults__", None) or ()), *sorted(named.items())]


def _code(thing: Any) -> list[str]:
    """Name a class or a function; with its code, unless a library has it, whose version is recorded."""
    home = getattr(thing, "__module__", None) or ""
    name = [home, str(thing.__qualname__)]
    if home.partition(".")[0] in _LIBRARIES:
        return name
    try:
        return [*name, digest.of_bytes(inspect.getsource(thing).encode())]
    except (OSError, TypeError):  # typed into a prompt: there is no file to read
        code = getattr(getattr(thing, "forward", thing), "__code__", None)
        return [*name, "" if code is None else digest.of_bytes(code.co_code + repr(code.co_consts).encode())]
