"""Folders of models as transformers writes them: one on this machine, or one of the hub, fetched once."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..store import digest
from ..store.errors import BadSource

if TYPE_CHECKING:
    from torch import Tensor

_SMALL = ("*.json", "*.txt", "*.model", "*.jinja")
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
"""Files of weights, the one that is preferred first; each can be an index of several with `.index.json`."""
_PASSING = frozenset(
    {
        "_commit_hash",
        "_name_or_path",
        "architectures",
        "dtype",
        "id2label",
        "label2id",
        "name_or_path",
        "torch_dtype",
        "transformers_version",
    }
)
"""Entries of a configuration that tell where it came from, and change nothing that is computed."""


def fetch(name: str, *, weights: bool) -> Path:
    """Find the folder that a name stands for, on this machine or on the hub.

    Args:
        name: A folder, or a repository such as `google/vit-base-patch16-224`.
        weights: Whether its weights are needed, too; without them only small files are fetched.

    Raises `BadSource` where there is no such folder and the hub gives none.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        return path.resolve()
    if name.startswith((".", "/", "~")) or not 0 < name.count("/") < 2:
        raise BadSource(f"no folder {name}; a repository of the hub has a name of the form OWNER/MODEL")
    try:
        return _fetched(name, weights)
    except Exception as error:  # whatever the hub's client raises: no network, no such repository, no right
        raise BadSource(
            f"no folder {name}, and the hub gives no repository of that name ({first_line(error)}); "
            "name a folder with the files, or fetch it where there is a network"
        ) from error


def _fetched(name: str, weights: bool) -> Path:
    from huggingface_hub import snapshot_download

    kinds = [*_SMALL, "*.safetensors"] if weights else [*_SMALL]
    folder = Path(snapshot_download(name, allow_patterns=kinds))
    if weights and not any(folder.glob("*.safetensors")):
        folder = Path(snapshot_download(name, allow_patterns=[*_SMALL, "*.bin"]))
    return folder


def read_json(path: Path) -> dict[str, Any]:
    """Read a configuration; `BadSource` where the file is absent, or holds no mapping."""
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise BadSource(
            f"{path.parent} is no folder of a transformers model: there is no {path.name} in it"
        ) from error
    except ValueError as error:
        raise BadSource(f"{path} is not a configuration that transformers reads ({error})") from error
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


def _files(folder: Path) -> list[Path]:
    for name in _WEIGHTS:
        index = folder / f"{name}.index.json"
        if (folder / name).is_file():
            return [folder / name]
        if index.is_file():
            return sorted({folder / part for part in read_json(index)["weight_map"].values()})
    raise BadSource(f"{folder} holds no weights: there is neither of {', '.join(_WEIGHTS)} in it")


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


def load(kind: Any, folder: Path, precision: str, source: str) -> Any:
    """Let a class of transformers load a model, in evaluation mode.

    Raises `BadSource` where it cannot, and where weights are missing, which would be random.
    """
    import torch

    quiet()
    try:
        net, told = kind.from_pretrained(folder, dtype=getattr(torch, precision), output_loading_info=True)
    except Exception as error:  # whatever transformers raises for weights that do not fit
        raise BadSource(f"{source} cannot be loaded: {first_line(error)}") from error
    missing = sorted(told["missing_keys"])
    if missing:
        raise BadSource(
            f"{source} has no weights for {len(missing)} parameters of {type(net).__name__} "
            f"(such as {missing[0]}), which would be random; is the configuration that of its weights?"
        )
    return net.eval()


def first_line(error: Exception) -> str:
    """Give the first line of what a library says."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def quiet() -> None:
    """Keep transformers from drawing bars and telling what is said once, in an error."""
    from transformers.utils import logging

    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
