"""The files of a model in a folder, as what identifies it: configurations, weights, all other bytes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...store import digest
from ...store.errors import BadSource

if TYPE_CHECKING:
    from torch import Tensor

_WEIGHTS = (
    "diffusion_pytorch_model.safetensors",
    "model.safetensors",
    "diffusion_pytorch_model.bin",
    "pytorch_model.bin",
)
"""Files of weights, the preferred first; each can be an index of several, with `.index.json` at its end."""
_OF_WEIGHTS = (
    *(".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".msgpack", ".h5", ".onnx", ".pb", ".index.json"),
    "config.json",
)
"""Ends of the names of files that are no others: of weights in any format, and configurations."""
_PASSING = frozenset(
    {
        "_commit_hash",
        "_diffusers_version",
        "_name_or_path",
        "architectures",
        "dtype",
        "id2label",
        "label2id",
        "name_or_path",
        "tokenizer_file",
        "torch_dtype",
        "transformers_version",
    }
)
"""Entries of a configuration that tell where it came from, and change nothing that is computed."""


def read_json(path: Path, library: str = "transformers") -> dict[str, Any]:
    """Read a configuration that a library wrote; `BadSource` where it is absent, or holds no mapping."""
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise BadSource(
            f"{path.parent} is no folder of a {library} model: there is no {path.name} in it"
        ) from error
    except (OSError, ValueError) as error:
        raise BadSource(f"{path} is not a configuration that {library} reads ({error})") from error
    if not isinstance(found, dict):
        raise BadSource(f"{path} holds a {type(found).__name__}, and not a configuration by name")
    return found


def lasting(config: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out of a configuration, and of those in it, what changes nothing that is computed. Pure.

    >>> lasting({"hidden_size": 8, "dtype": "float16", "text_config": {"_name_or_path": "/tmp/x"}})
    {'hidden_size': 8, 'text_config': {}}
    """
    return {
        name: lasting(value) if isinstance(value, Mapping) else value
        for name, value in config.items()
        if name not in _PASSING
    }


def configurations(folder: Path, *names: str) -> dict[str, Any]:
    """Read those of some files that are there, each without what changes nothing that is computed."""
    return {
        name.removesuffix(".json"): lasting(read_json(folder / name))
        for name in names
        if (folder / name).is_file()
    }


def weights_facts(folder: Path) -> str:
    """Give the digest of all tensors in a folder's files of weights, one tensor in memory at a time.

    Raises `BadSource` where there are no such files, or they are damaged.
    """
    from .weights import weights_digest

    found = {name: weights_digest([(name, tensor)]) for name, tensor in _tensors(_files(folder))}
    return digest.of_sequence(found[name] for name in sorted(found))


def part_facts(folder: Path) -> dict[str, Any]:
    """Give what identifies one part of a pipeline: its configurations, weights, and all other files.

    A part with a `config.json` has weights; one without, such as a tokenizer, may be files alone. Of weights
    in several formats the preferred one counts.

    Raises `BadSource` where there is nothing to identify it by but its configuration, or weights are damaged.
    """
    others = _others(folder)
    facts: dict[str, Any] = {"configuration": configurations(folder, *_configured(folder))}
    if (folder / "config.json").is_file() and (not others or _found(folder)):
        facts["weights"] = weights_facts(folder)
    if others:
        facts["files"] = others
    return facts


def first_line(error: Exception) -> str:
    """Give the first line of what a library says."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _configured(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*config.json"))


def _others(folder: Path) -> dict[str, str]:
    """Give the digests of files that are neither configurations nor weights, by their place in a folder."""
    bare = not (folder / "config.json").is_file()  # nothing in it can be taken for weights
    ends = ("config.json",) if bare else _OF_WEIGHTS
    found = {
        path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()
    }
    return {
        place: digest.of_bytes(path.read_bytes())
        for place, path in found.items()
        if not place.startswith(".") and not place.endswith(ends)
    }


def _found(folder: Path) -> list[Path]:
    for name in _WEIGHTS:
        index = folder / f"{name}.index.json"
        if (folder / name).is_file():
            return [folder / name]
        if index.is_file():
            return sorted({folder / part for part in read_json(index)["weight_map"].values()})
    return []


def _files(folder: Path) -> list[Path]:
    found = _found(folder)
    if not found:
        raise BadSource(
            f"{folder} holds no weights: there is none of {', '.join(_WEIGHTS)} in it; "
            "save the model again, without a variant"
        )
    return found


def _tensors(files: list[Path]) -> Iterator[tuple[str, Tensor]]:
    import torch
    from safetensors import safe_open

    for path in files:
        try:
            if path.suffix == ".safetensors":
                with safe_open(path, framework="pt") as file:
                    yield from ((name, file.get_tensor(name)) for name in file.keys())  # noqa: SIM118
            else:
                yield from torch.load(path, map_location="cpu", weights_only=True, mmap=True).items()
        except Exception as error:  # torch and safetensors raise what they like for a file of another kind
            raise BadSource(f"{path} cannot be read as weights: {first_line(error)}") from error
