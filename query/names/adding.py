"""Registers models, image sets and text sets under names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from ...compute import text_sources
from ...compute.images import image_sources
from ...compute.images.found import Found, Tick
from ...compute.images.image_sources import ImageSource
from ...compute.images.pictures import GONE, Pictures
from ...compute.instruments import sources as instruments
from ...compute.instruments.sources import Precision
from ...compute.text_sources import TextSource
from ...store.errors import BadSource, NameTaken
from ...store.folder import Folder
from ...store.registry import INSTRUMENTS, Kept, Registry, check_name, image_entries
from ...store.sets import CONCEPTS, ImageSet, Model, TextSet
from .subset import Subset

if TYPE_CHECKING:
    from ..engine import Engine


@dataclass(frozen=True, slots=True)
class Added:
    """What a name stands for now."""

    name: str
    """The name."""
    count: int
    """How many images or texts the set has."""
    new: int
    """How many of them were not in it before."""
    changed: int = 0
    """How many have other bytes than before, or another mask; what was computed from these is stale."""
    gone: int = 0
    """How many files are not there any more; they keep their places, and their rows are absent."""
    unreadable: int = 0
    """How many files in it are no pictures; they keep their places, and their rows are absent."""
    masks: int = 0
    """How many images have masks."""


def add_model(
    engine: Engine,
    name: str,
    source: Any,
    *,
    checkpoint: str | None,
    precision: str,
    transform: Any,
    transform_id: str | None,
    tokenizer: Any,
    replace: bool,
) -> Model:
    """Register a model; see `Store.add_model`."""
    from ...compute.models.families import own
    from ...compute.models.loaded import register
    from ...compute.models.sources import find

    check_name("a model", name)
    if isinstance(source, str):
        if not (transform is transform_id is tokenizer is None):
            raise BadSource(
                f"{source} has its own preprocessing and tokenizer: transform=… and tokenizer=… go with a "
                "module of your own"
            )
        given, found = None, find(source, checkpoint)
        path = None if checkpoint is None else str(Path(checkpoint).resolve())
        model = register(name, source, found, checkpoint=path, precision=precision)
    else:
        if checkpoint is not None:
            raise BadSource("a module of your own has its weights, so checkpoint=… has no place")
        given = own.take(source, transform, transform_id, tokenizer)
        model = register(name, given.source, given, checkpoint=None, precision=precision)
    keep_model(engine.folder.names, model, replace=replace)
    if given is not None:
        engine.residents.give(model, given)
    return model


def keep_model(registered: Registry, model: Model, *, replace: bool) -> None:
    """Let a name stand for a model; `NameTaken` where it stands for another and may not be replaced."""
    while not registered.put_model(model, check_free(registered, model, replace=replace)):
        pass  # another process named a model at the same time: look again


def _differing(before: Model, now: Model) -> str:
    """Say what of a model is another one."""
    if before.image == now.image and bool(before.text) != bool(now.text):
        return f"with{'' if before.text else 'out'} a tokenizer"
    return "other weights or settings"


def check_free(registered: Registry, model: Model, *, replace: bool) -> int:
    """Give the version of a model's name, 0 for a new one; `NameTaken` as in `keep_model`."""
    after = registered.version("models", model.name)
    if registered.has("models", model.name) and not replace:
        before = registered.model(model.name)
        if any(before.identity(side) != model.identity(side) for side in ("image", "text")):
            imported = "other numbers, or said to be something else"
            other = imported if before.imported else _differing(before, model)
            raise _taken("model", model.name, f"{before.source} at {before.precision}, {other}")
    return after


def add_instrument(
    folder: Folder, kind: type[Kept], name: str, source: str, precision: Precision, *, replace: bool
) -> Kept:
    """Register a captioner, language model or painter; see `Store.add_captioner`."""
    said, under = kind.__name__.lower(), INSTRUMENTS[kind]
    check_name(f"a {said}", name)
    found = instruments.register(kind, name, source, precision)
    while True:
        after = folder.names.version(under, name)
        if folder.names.has(under, name) and not replace:
            before = folder.names.instrument(kind, name)
            if before.key != found.key:
                other = instruments.differing(before.facts, found.facts) or "another precision"
                raise _taken(said, name, f"{before.source} at {before.precision} ({other})")
        if folder.names.put_instrument(found, after):
            return folder.names.instrument(kind, name)


def add_images(
    folder: Folder,
    name: str,
    source: ImageSource | Subset,
    *,
    labels: Literal["folder"] | None,
    masks: str | Path | None,
    concepts: str | Path | Mapping[int, str] | None,
    replace: bool,
    tick: Tick,
) -> Added:
    """Register a set of images, or append to it what its source has gained; see `Store.add_images`."""
    check_name("a set of images", name)
    pictures = Pictures(folder.objects)
    offer = _offer(source, labels, masks, concepts, pictures, tick)
    known: dict[str, dict[str, Any]] = {}
    while True:  # another process that adds to the set at the same time makes this one look again
        after = folder.names.version("images", name)
        keep = folder.names.has("images", name) and not replace
        before = folder.names.image_set(name) if keep else None
        if before is not None:
            _refuse_others(before, offer)
            known = {row["path"]: row for row in before.entries.to_pylist()} | known
        read = {row["path"]: row for row in image_sources.read_all(offer.found, known, pictures, tick)}
        rows = _merged(before.entries.to_pylist() if before else [], read, pictures)
        rows = _meant(name, rows, alike=not isinstance(source, Subset))
        entries = pa.Table.from_pylist(rows, schema=image_entries(any(row.get("mask") for row in rows)))
        if folder.names.put_image_set(ImageSet(name, offer.source, entries), after):
            return _told(name, before.entries.to_pylist() if before else [], rows)
        known |= read


@dataclass(frozen=True, slots=True)
class _Offer:
    """The pictures that a source has at the moment."""

    source: str
    """The source in words."""
    found: Sequence[Found]
    """The pictures."""
    exact: bool
    """Whether its words tell it from every other source."""
    outlived: bool
    """Whether a set from it keeps the places of pictures that are gone from it."""


def _offer(
    source: ImageSource | Subset,
    labels: Literal["folder"] | None,
    masks: str | Path | None,
    concepts: str | Path | Mapping[int, str] | None,
    pictures: Pictures,
    tick: Tick,
) -> _Offer:
    if isinstance(source, Subset):
        return _Offer(source.source, source.found, exact=True, outlived=False)
    found = image_sources.find(source, labels, pictures, tick, masks, concepts)
    named = isinstance(source, str | Path)
    return _Offer(image_sources.written(source, found), found, exact=named, outlived=named)


def _told(name: str, before: Sequence[dict[str, Any]], rows: Sequence[dict[str, Any]]) -> Added:
    """Count what is new, what has changed, and what is gone."""
    kept = ("digest", "mask_digest", CONCEPTS)
    pairs = [
        (tuple(old.get(name) for name in kept), tuple(new.get(name) for name in kept))
        for old, new in zip(before, rows, strict=False)
    ]
    return Added(
        name,
        count=len(rows),
        new=len(rows) - len(before),
        changed=sum(old != new and new[0] != GONE for old, new in pairs),
        gone=sum(row["digest"] == GONE for row in rows),
        unreadable=sum(row["width"] is None and row["digest"] != GONE for row in rows),
        masks=sum(row.get("mask") is not None for row in rows),
    )


def _refuse_others(before: ImageSet, offer: _Offer) -> None:
    """Refuse images that neither come from the same place as those before nor contain them all."""
    same = offer.exact and before.source == offer.source
    if same and offer.outlived:
        return
    offered = {each.path for each in offer.found}
    lost = [path for path in before.entries["path"].to_pylist() if path not in offered]
    if lost:
        what = f"{len(before)} images from {before.source}"
        more = f", which leaves out {len(lost)} of them now, {lost[0]} first" if same else ""
        raise _taken("image set", before.name, f"{what}{more}")


_GONE = {"digest": GONE, "width": None, "height": None, "size": None, "modified": None}


def _merged(
    before: Sequence[dict[str, Any]], read: dict[str, dict[str, Any]], pictures: Pictures
) -> list[dict[str, Any]]:
    """Append rows with new paths; files that are gone keep their places, and labels not given anew stay."""
    rows = []
    for row in before:
        now = read.get(row["path"]) or ({} if pictures.exists(row["path"]) else dict(_GONE))
        kept = {key: row[key] for key in ("label", "grp") if now.get(key) is None}
        rows.append({**row, **now, **kept})
    paths = {row["path"] for row in before}
    rows += [row for path, row in read.items() if path not in paths]
    return [{**row, "image_id": place} for place, row in enumerate(rows)]


def _meant(name: str, rows: list[dict[str, Any]], *, alike: bool) -> list[dict[str, Any]]:
    """Let what numbers stand for in masks of a set hold for those that came without being told of.

    Raises `BadSource` where these could mean one thing or another, and where they are not `alike`, since
    they come from several sets.
    """
    told = {row.get(CONCEPTS) for row in rows if row.get("mask")}
    if None not in told or len(told) == 1:
        return rows
    if len(told) > 2 or not alike:
        raise BadSource(
            f"in some masks of {name!r} numbers stand for concepts, and of others that is not said: say it "
            "of all (concepts=…, --concepts), or keep them in sets of their own"
        )
    (same,) = told - {None}
    return [{**row, CONCEPTS: same} if row.get("mask") else row for row in rows]


def add_texts(
    folder: Folder, name: str, source: TextSource, templates: TextSource | None, *, replace: bool
) -> Added:
    """Register a set of texts; see `Store.add_texts`."""
    check_name("a set of texts", name)
    entries = text_sources.find(source)
    if templates is not None:
        entries = text_sources.filled(entries, templates)
    while True:
        after, new = folder.names.version("texts", name), len(entries)
        if folder.names.has("texts", name) and not replace:
            before = folder.names.text_set(name)
            if not before.entries.equals(entries.slice(0, len(before))):
                raise _taken("text set", name, f"{len(before)} texts from {before.source}")
            new -= len(before)
        with folder.presence.at_work("add texts"):  # the list has no name for a while
            put = folder.names.put_text_set(TextSet(name, _written(source), entries), after)
        if put:
            return Added(name, len(entries), new)


def _written(source: TextSource) -> str:
    """Write down a source of texts: its absolute path where it is one."""
    if not isinstance(source, str | Path):
        return f"a list of {len(source)}"
    text = str(source)
    return text if text.startswith(("demo:", "builtin:")) else str(Path(text).absolute())


def _taken(kind: str, name: str, what: str) -> NameTaken:
    return NameTaken(f"{kind} {name!r} stands for {what}; take another name, or replace=True (--replace)")
