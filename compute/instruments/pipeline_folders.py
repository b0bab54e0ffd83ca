"""Folders of pipelines as diffusers writes them: one on this machine, or one of the hub, fetched once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...store.errors import BadSource
from ..models.model_files import first_line, lasting, part_facts, read_json

INDEX = "model_index.json"
"""The file that makes a folder a pipeline: it names the class of the whole and of each part."""


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
        return read_json(path / INDEX, "diffusers")
    if name.startswith((".", "/", "~")) or name.count("/") != 1:
        raise BadSource(f"no folder {name}; a repository of the hub has a name of the form OWNER/PIPELINE")
    from huggingface_hub import hf_hub_download

    try:
        return read_json(Path(hf_hub_download(name, INDEX)), "diffusers")
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
    """Give what identifies each part of a pipeline: class, configuration, weights, all other files.

    One tensor is in memory at a time. Raises `BadSource` for weights that are absent or damaged.
    """
    parts = {name: kind for name, kind in read_json(folder / INDEX, "diffusers").items() if _is_part(kind)}
    return {name: {"class": kind[1], **_facts(folder / name)} for name, kind in sorted(parts.items())}


def settings(folder: Path) -> dict[str, Any]:
    """Give the entries of a pipeline's index that name no part, such as its own class."""
    return {
        name: value
        for name, value in lasting(read_json(folder / INDEX, "diffusers")).items()
        if not isinstance(value, list)
    }


def _is_part(kind: Any) -> bool:
    """Tell whether an entry of the index names a part that is there."""
    return isinstance(kind, list) and len(kind) == 2 and None not in kind


def _facts(folder: Path) -> dict[str, Any]:
    if not folder.is_dir():
        raise BadSource(f"{folder.parent} lacks the part {folder.name!r} that its {INDEX} names")
    return part_facts(folder)


def _unfetched(name: str, error: Exception) -> str:
    return (
        f"no folder {name}, and the hub gives no pipeline of that name ({first_line(error)}); "
        "name a folder with the files, or fetch it where there is a network"
    )
