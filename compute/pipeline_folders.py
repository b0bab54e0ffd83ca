"""Folders of pipelines as diffusers writes them: one on this machine, or one of the hub, fetched once."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..store import digest
from ..store.errors import BadSource

if TYPE_CHECKING:
    from torch import Tensor

INDEX = "model_index.json"
"""The file that makes a folder a pipeline: it names the class of the whole and of each part."""
_WEIGHTS = (
    "diffusion_pytorch_model.safetensors",
    "model.safetensors",
    "diffusion_pytorch_model.bin",
    "pytorch_model.bin",
)
"""Files of weights, the preferred first; each may be an index of several, with `.index.json` at its end."""
_PASSING = frozenset(
    {
        "_diffusers_version",
        "_name_or_path",
        "architectures",
        "dtype",
        "name_or_path",
        "tokenizer_file",
        "torch_dtype",
        "transformers_version",
    }
)
"""Entries of a configuration that tell where it came from, and change nothing that is computed."""
_VOCABULARIES = ("tokenizer.json", "vocab.json", "merges.txt", "spiece.model", "added_tokens.json")


def read_index(name: str) -> dict[str, Any]:
    """Read the index of a pipeline in a folder, or on the hub; no weights are read.

    Raises `BadSource` where there is no such folder or repository, or it holds no pipeline.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        if not (path / INDEX).is_file():
            raise BadSource(
                f"{name} is no folder of a diffusers pipeline: there is no {INDEX} in it; "
                "name a folder that save_pretrained of a pipeline wrote"
            )
        return _read(path / INDEX)
    if name.startswith((".", "/", "~")) or name.count("/") != 1:
        raise BadSource(f"no folder {name}; a repository of the hub has a name of the form OWNER/PIPELINE")
    from huggingface_hub import hf_hub_download

    try:
        return _read(Path(hf_hub_download(name, INDEX)))
    except BadSource:
        raise
    except Exception as error:  # whatever the hub's client raises: no network, no such repository, no right
        raise BadSource(_unfetched(name, error)) from error


def fetch(name: str) -> Path:
    """Find the folder that a name stands for; a pipeline of the hub is fetched, weights and all.

    Raises `BadSource` where the hub gives no such pipeline.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        return path.resolve()
    from diffusers import DiffusionPipeline

    try:
        return Path(DiffusionPipeline.download(name))
    except Exception as error:  # as above
        raise BadSource(_unfetched(name, error)) from error


def parts_facts(folder: Path) -> dict[str, Any]:
    """Give what identifies each part of a pipeline: class, configuration, weights, vocabulary.

    One tensor is in memory at a time. Raises `BadSource` for weights that are absent or damaged.
    """
    parts = {name: kind for name, kind in _read(folder / INDEX).items() if _is_part(kind)}
    return {name: {"class": kind[1], **_facts(folder / name)} for name, kind in sorted(parts.items())}


def settings(folder: Path) -> dict[str, Any]:
    """Give the entries of a pipeline's index that name no part, such as its own class."""
    return {
        name: value for name, value in _lasting(_read(folder / INDEX)).items() if not isinstance(value, list)
    }


def _is_part(kind: Any) -> bool:
    """Tell whether an entry of the index names a part that is there."""
    return isinstance(kind, list) and len(kind) == 2 and None not in kind


def _facts(folder: Path) -> dict[str, Any]:
    from .weights import weights_digest

    if not folder.is_dir():
        raise BadSource(f"{folder.parent} lacks the part {folder.name!r} that its {INDEX} names")
    told = sorted(folder.glob("*config.json"))
    words = [folder / name for name in _VOCABULARIES if (folder / name).is_file()]
    facts: dict[str, Any] = {"configuration": {path.stem: _lasting(_read(path)) for path in told}}
    if words:
        facts["vocabulary"] = {path.name: digest.of_bytes(path.read_bytes()) for path in words}
    elif (folder / "config.json").is_file():
        found = {name: weights_digest([(name, tensor)]) for name, tensor in _tensors(_files(folder))}
        facts["weights"] = digest.of_sequence(found[name] for name in sorted(found))
    return facts


def _files(folder: Path) -> list[Path]:
    for name in _WEIGHTS:
        index = folder / f"{name}.index.json"
        if (folder / name).is_file():
            return [folder / name]
        if index.is_file():
            return sorted({folder / part for part in _read(index)["weight_map"].values()})
    raise BadSource(
        f"{folder} holds no weights: there is none of {', '.join(_WEIGHTS)} in it; "
        "save the pipeline again without a variant"
    )


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
            raise BadSource(f"{path} cannot be read as weights: {str(error).splitlines()[0]}") from error


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise BadSource(f"{path} is not a configuration that diffusers reads ({error})") from error
    if not isinstance(found, dict):
        raise BadSource(f"{path} holds a {type(found).__name__}, and not a configuration by name")
    return found


def _lasting(config: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out of a configuration, and of those in it, what changes nothing that is computed. Pure."""
    return {
        name: _lasting(value) if isinstance(value, Mapping) else value
        for name, value in config.items()
        if name not in _PASSING
    }


def _unfetched(name: str, error: Exception) -> str:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return (
        f"no folder {name}, and the hub gives no pipeline of that name ({reason}); "
        "name a folder with the files, or fetch it where there is a network"
    )
