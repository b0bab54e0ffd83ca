"""Registers models, image sets and text sets under names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyarrow as pa

from ..compute import image_sources, text_sources
from ..compute.image_sources import ImageSource, Tick
from ..compute.text_sources import TextSource
from ..store.errors import NameTaken
from ..store.folder import Folder
from ..store.registry import check_name
from ..store.sets import ImageSet, Model, TextSet


@dataclass(frozen=True, slots=True)
class Added:
    """What a name stands for now."""

    name: str
    """The name."""
    count: int
    """How many images or texts the set has."""
    new: int
    """How many of them were not in it before."""
    unreadable: int = 0
    """How many files in it are no pictures; they keep their places, and their rows are absent."""


def add_model(
    folder: Folder, name: str, source: str, *, checkpoint: str | Path | None, precision: str, replace: bool
) -> Model:
    """Register a model; see `Store.add_model`."""
    from ..compute.models import register

    check_name("a model", name)
    found = register(
        name, source, checkpoint=None if checkpoint is None else str(checkpoint), precision=precision
    )
    if name in folder.names.models() and not replace:
        before = folder.names.model(name)
        if before.identity("image") != found.identity("image") or before.identity("text") != found.identity(
            "text"
        ):
            raise _taken("model", name, f"{before.source} at {before.precision}, other weights or settings")
    folder.names.put_model(found)
    return found


def add_images(
    folder: Folder,
    name: str,
    source: ImageSource,
    *,
    labels: Literal["folder"] | None,
    replace: bool,
    tick: Tick,
) -> Added:
    """Register a set of images, or append to it what its source has gained; see `Store.add_images`."""
    check_name("a set of images", name)
    found = image_sources.find(source, labels)
    kept: pa.Table | None = None
    if name in folder.names.image_sets() and not replace:
        before = folder.names.image_set(name)
        paths = set(before.entries["path"].to_pylist())
        if before.source != _written(source) and not paths <= {each.path for each in found}:
            raise _taken("image set", name, f"{len(before)} images from {before.source}")
        listed = {each.path: each for each in found}
        again = [listed[path] for path in before.entries["path"].to_pylist() if path in listed]
        kept = _renewed(before.entries, image_sources.read_all(again, 0, tick))
        found = [each for each in found if each.path not in paths]
    fresh = image_sources.read_all(found, len(kept) if kept is not None else 0, tick)
    entries = fresh if kept is None else pa.concat_tables([kept, fresh])
    folder.names.put_image_set(ImageSet(name, _written(source), entries))
    return Added(name, len(entries), len(fresh), entries["width"].null_count)


def add_texts(folder: Folder, name: str, source: TextSource, *, replace: bool) -> Added:
    """Register a set of texts; see `Store.add_texts`."""
    check_name("a set of texts", name)
    entries = text_sources.find(source)
    new = len(entries)
    if name in folder.names.text_sets() and not replace:
        before = folder.names.text_set(name)
        if not before.entries.equals(entries.slice(0, len(before))):
            raise _taken("text set", name, f"{len(before)} texts from {before.source}")
        new = len(entries) - len(before)
    folder.names.put_text_set(TextSet(name, _written(source), entries))
    return Added(name, len(entries), new)


def _renewed(before: pa.Table, again: pa.Table) -> pa.Table:
    """Take what changed of files that are still there; a file that is gone keeps its row."""
    now = {row["path"]: row for row in again.to_pylist()}
    rows = [{**row, **now.get(row["path"], {}), "image_id": row["image_id"]} for row in before.to_pylist()]
    return pa.Table.from_pylist(rows, schema=before.schema)


def _written(source: ImageSource | TextSource) -> str:
    """Write down a source: its absolute path where it is one."""
    if not isinstance(source, str | Path):
        return f"a list of {len(source)}"
    text = str(source)
    return text if text.startswith(("demo:", "builtin:")) else str(Path(text).absolute())


def _taken(kind: str, name: str, what: str) -> NameTaken:
    return NameTaken(f"{kind} {name!r} stands for {what}; take another name, or replace=True (--replace)")
