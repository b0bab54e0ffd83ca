"""Weights in a file, as torch or safetensors wrote them."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...store.errors import BadSource

if TYPE_CHECKING:
    from torch import Tensor, nn

_INSIDE = ("state_dict", "model", "model_state_dict")


def check(path: str) -> str:
    """Give a checkpoint's absolute path; `BadSource` where there is no such file."""
    if not Path(path).is_file():
        raise BadSource(f"no checkpoint file {path}")
    return str(Path(path).resolve())


def fit(net: nn.Module, path: str) -> None:
    """Load a file's weights into a model; `BadSource` unless each parameter gets exactly one value.

    A dictionary with the weights under `state_dict` or `model` is looked into, and the prefix `module.` that
    data-parallel training leaves is dropped.
    """
    state = _read(path)
    found = {name.removeprefix("module."): value for name, value in state.items()}
    try:
        net.load_state_dict(found)
    except (RuntimeError, TypeError, AttributeError) as error:
        lines = [line.strip() for line in str(error).splitlines()[1:3]]
        raise BadSource(
            f"{path} does not fit {type(net).__name__}: {' '.join(lines) or error}; "
            "is it a checkpoint of another architecture?"
        ) from error


def _read(path: str) -> dict[str, Tensor]:
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if Path(path).suffix == ".safetensors":
            return load_file(path)
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, OSError, EOFError) as error:
        raise BadSource(f"{path} is no checkpoint of torch's or of safetensors ({_first(error)})") from error
    for name in _INSIDE:
        if isinstance(state, dict) and isinstance(state.get(name), dict):
            state = state[name]
    if not isinstance(state, dict):
        raise BadSource(f"{path} holds a {type(state).__name__}, not weights by name")
    return state


def _first(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
