"""What a module, or a function, is made of, written down to be digested: its code and its settings."""

from __future__ import annotations

import inspect
import math
import sys
from contextlib import suppress
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ...store import digest

if TYPE_CHECKING:
    from torch import nn

LIBRARIES = frozenset(
    {"_operator", "builtins", "math", "open_clip", "timm", "torch", "torchvision", "transformers"}
)
"""Packages whose code is known by their versions, which are recorded with what is computed."""


def hooks(module: Any) -> list[Any]:
    """Give what runs before and after a module's own code."""
    return [*module._forward_pre_hooks.values(), *module._forward_hooks.values()]


def structure(module: nn.Module) -> dict[str, Any]:
    """Say of each part its class, with its code where that is no library's, and what it was made with."""
    from torch import nn

    every = set(vars(nn.Module()))  # parts and weights, which are looked at elsewhere, or no number's cause
    return {
        name: [
            code_of(type(each)),
            {k: plain(v) for k, v in sorted(vars(each).items()) if k not in every},
            *[[code_of(type(hook)), plain(vars(hook))] for hook in hooks(each)],
        ]
        for name, each in module.named_modules()
    }


def plain(value: Any, within: tuple[Any, ...] = ()) -> Any:
    """Write down an attribute of a module; of what says nothing of itself, its class."""
    import torch

    if isinstance(value, bool | int | str | None):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else repr(value)
    if isinstance(value, complex | bytes | slice | range | Enum | torch.dtype | torch.device):
        return repr(value)
    if isinstance(value, np.generic | np.ndarray):
        return [str(value.dtype), list(value.shape), digest.of_bytes(value.tobytes())]
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, set | frozenset):
        return sorted(map(repr, map(plain, value)))
    if isinstance(value, dict):
        return [[plain(key), plain(each)] for key, each in value.items()]
    if isinstance(value, torch.Tensor):
        from .weights import weights_digest

        return weights_digest([("", value)])
    if isinstance(value, partial):
        return [plain(value.func), plain(value.args), plain(value.keywords)]
    if not callable(value) or not hasattr(value, "__qualname__"):
        return code_of(type(value))
    if value in within:  # it calls itself
        return code_of(value)
    held = [plain(each, (*within, value)) for each in _held(value)]
    return [*code_of(value), held] if held else code_of(value)


def _held(function: Any) -> list[Any]:
    """Give the values that a function has beside its code: of its closure, and its defaults."""
    cells, held = getattr(function, "__closure__", None) or (), []
    for cell in cells:
        with suppress(ValueError):  # a name that has no value yet
            held.append(cell.cell_contents)
    named = getattr(function, "__kwdefaults__", None) or {}
    return [*held, *(getattr(function, "__defaults__", None) or ()), *sorted(named.items())]


def code_of(thing: Any) -> list[str]:
    """Name a class or a function; with its code, unless a library has it, whose version is recorded."""
    home = getattr(thing, "__module__", None) or ""
    name = [home, str(thing.__qualname__)]
    if home.partition(".")[0] in LIBRARIES:
        return name
    if isinstance(thing, type):
        known = LIBRARIES | sys.stdlib_module_names
        own = (each for each in thing.__bases__ if each.__module__.partition(".")[0] not in known)
        name += [word for each in own for word in code_of(each)]
    try:
        return [*name, digest.of_bytes(inspect.getsource(thing).encode())]
    except (OSError, TypeError):  # typed into a prompt: there is no file to read
        code = getattr(getattr(thing, "forward", thing), "__code__", None)
        return [*name, "" if code is None else digest.of_bytes(code.co_code + repr(code.co_consts).encode())]
