"""Weights in a file, as torch or safetensors wrote them."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...store.errors import BadSource
from .model_files import first_line

if TYPE_CHECKING:
    from torch import Tensor, nn

_INSIDE = ("state_dict", "model", "model_state_dict")


def check(path: str) -> str:
    """Give a checkpoint's absolute path; `BadSource` where there is no such file."""
    if not Path(path).is_file():
        raise BadSource(f"no checkpoint file {path}")
    return str(Path(path).resolve())


def built(make: Callable[[], nn.Module], source: str, path: str | None, precision: str) -> nn.Module:
    """Let a library make a model, and load a checkpoint where one is named; in evaluation mode.

    Raises `BadSource` where the library cannot make it, or as `fit` does.
    """
    import torch

    try:
        net = make()
    except Exception as error:
        raise BadSource(
            f"{source} cannot be loaded: {first_line(error)}; "
            "name a file that is there with checkpoint=… (--checkpoint)"
        ) from error
    if path is not None:
        fit(net, path)
    return net.to(getattr(torch, precision)).eval()


def fit(net: nn.Module, path: str) -> None:
    """Load a file's weights into a model; `BadSource` unless each parameter gets exactly one value.

    A dictionary with the weights under `state_dict` or `model` is looked into, and the prefix `module.` that
    data-parallel training leaves is dropped.
    """
    state = _read(path)
    found = {name.removeprefix("module."): value for name, value in state.items()}
    wanted = net.state_dict()
    lacking, extra = sorted(set(wanted) - set(found)), sorted(set(found) - set(wanted))
    other = [name for name, value in wanted.items() if name in found and found[name].shape != value.shape]
    told = [
        f"{len(names)} {what} (such as {names[0]})"
        for names, what in ((lacking, "are missing"), (extra, "are unknown"), (other, "have another shape"))
        if names
    ]
    if told:
        raise BadSource(
            f"{path} does not fit {type(net).__name__}: of its weights {', '.join(told)}; "
            "is it a checkpoint of another architecture?"
        )
    net.load_state_dict(found)


def _read(path: str) -> dict[str, Tensor]:
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if Path(path).suffix == ".safetensors":
            return load_file(path)
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, OSError, EOFError) as error:
        raise BadSource(f"{path} is no checkpoint of weights that torch or safetensors wrote") from error
    for name in _INSIDE:
        if isinstance(state, dict) and isinstance(state.get(name), dict):
            state = state[name]
    if not isinstance(state, dict) or not all(isinstance(each, torch.Tensor) for each in state.values()):
        raise BadSource(f"{path} holds a {type(state).__name__} that is not weights by name")
    return state
