"""Data sets of torchvision that lie on this machine, as sources of images."""

from __future__ import annotations

from dataclasses import replace
from inspect import signature
from pathlib import Path
from typing import Any

from ...store.errors import BadSource, UnknownName
from . import image_tables
from .class_names import class_names
from .found import Found

PREFIX = "torchvision:"
"""What these sources begin with: `torchvision:CIFAR10/FOLDER#test`."""


def written(source: str) -> str:
    """Write down a source with the absolute path of its folder."""
    name, folder, split = _parts(source)
    return f"{PREFIX}{name}/{Path(folder).absolute()}{f'#{split}' if split else ''}"


def open_set(source: str) -> Any:
    """Open a data set as torchvision does, and never download one.

    The split is what the class takes as `split` or `image_set`, or `train` or `test` where it takes `train`;
    without one it is the class's own default.

    Raises:
        UnknownName: No data set of that name.
        BadSource: It does not lie in the folder, or in none at all, or has no such split.
    """
    from torchvision import datasets

    name, folder, split = _parts(source)
    kind = getattr(datasets, name, None)
    if not (isinstance(kind, type) and issubclass(kind, datasets.VisionDataset)):
        raise UnknownName("data set of torchvision", name, sorted(datasets.__all__))
    takes = signature(kind).parameters
    if next(iter(takes), None) != "root":
        raise BadSource(f"{name} of torchvision is no data set that lies in a folder; give one that does")
    asked: dict[str, Any] = {"download": False} if "download" in takes else {}
    if split:
        asked |= _split(name, split, set(takes))
    try:
        return kind(folder, **asked)
    except Exception as error:  # whatever a data set raises for a folder that has not its files
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise BadSource(f"{source} cannot be opened from {Path(folder).absolute()}: {said}") from error


def files(found: Any) -> list[Found] | None:
    """List the files of a data set of files, with their classes; None where it has its pictures otherwise."""
    samples = getattr(found, "samples", None)
    if not isinstance(samples, list) or not all(isinstance(path, str) for path, _ in samples):
        return None
    names = class_names(found)
    return [
        replace(
            image_tables.file(Path(path).absolute()), label=str(target) if names is None else names[target]
        )
        for path, target in samples
    ]


def _parts(source: str) -> tuple[str, str, str]:
    """Take a source apart: the data set's name, its folder and its split, which may be empty."""
    name, slash, rest = source.removeprefix(PREFIX).partition("/")
    folder, hashed, split = rest.rpartition("#")
    folder, split = (folder, split) if hashed else (rest, "")
    if not slash or not folder:
        raise BadSource(
            f"{source!r}: a data set of torchvision is named with its folder, {PREFIX}NAME/FOLDER"
        )
    return name, folder, split


def _split(name: str, split: str, takes: set[str]) -> dict[str, Any]:
    """Say a split as a class takes it."""
    for param in ("split", "image_set"):
        if param in takes:
            return {param: split}
    if "train" in takes and split in ("train", "test"):
        return {"train": split == "train"}
    there = "#train and #test" if "train" in takes else "no splits"
    raise BadSource(f"{name} of torchvision has {there}, and not #{split}")
