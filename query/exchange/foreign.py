"""The names of another store: taken over where they are free here, or matched with those of one content."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import product

from ...compute.images.pictures import KEPT, Pictures
from ...compute.views import all_views
from ...store import digest
from ...store.errors import StoreError, UnknownName
from ...store.folder import Folder
from ...store.registry import INSTRUMENTS
from ...store.sets import ImageSet, Instrument, Model, TextSet
from ...store.views import Source
from ..names.naming import KINDS, contents, source
from ..resolve import needed_inputs


@dataclass(slots=True)
class Matched:
    """What became of the names of another store."""

    taken: list[str] = field(default_factory=list)
    """Names that stand for the same here from now on."""
    left: list[str] = field(default_factory=list)
    """Names that stand for something else here."""
    damaged: list[str] = field(default_factory=list)
    """What could not be read in the other store, and why."""
    same: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    """By kind and name there: the names here that stand for the same contents."""


def match(here: Folder, there: Folder, *, dry_run: bool) -> Matched:
    """Take over the names that are free here, and find for all the names here that stand for the same."""
    found = Matched()
    for kind, folder in KINDS.items():
        for name in there.names.names(folder):
            try:
                _match(here, there, kind, name, found, dry_run=dry_run)
            except UnknownName:  # removed there after it was listed
                continue
            except (StoreError, ValueError, KeyError, TypeError, FileNotFoundError) as error:
                found.damaged.append(f"names/{folder}/{name}: {error}")
    return found


def _match(here: Folder, there: Folder, kind: str, name: str, found: Matched, *, dry_run: bool) -> None:
    theirs = source(there, name, kind)
    while not here.names.has(KINDS[kind], name):
        if dry_run or _bring(here, there, theirs):
            found.taken.append(f"{kind} {name}")
            found.same[kind, name] = [name]
            return
    alike = _alike(here, theirs, kind)
    if name not in alike:
        found.left.append(f"{kind} {name}")
    found.same[kind, name] = [name] if name in alike else alike


def _alike(here: Folder, theirs: Source | Instrument, kind: str) -> list[str]:
    """List the names here that stand for the same contents."""
    wanted, found = contents(theirs), []
    for name in here.names.names(KINDS[kind]):
        with suppress(StoreError, UnknownName):  # damaged or removed here: no match
            if contents(source(here, name, kind)) == wanted:
                found.append(name)
    return found


def _bring(here: Folder, there: Folder, theirs: Source | Instrument) -> bool:
    """Take over what a name stands for, and the name; False where another process named something so."""
    with here.presence.at_work("pull"):  # lists and pictures have no name for a while
        _bring_pictures(here, there, theirs)
        return _put(here, theirs)


def _put(here: Folder, theirs: Source | Instrument) -> bool:
    """Let the name stand here for what it does there; False where another process named something so."""
    names = here.names
    match theirs:
        case Model():
            return names.put_model(theirs, names.version("models", theirs.name))
        case ImageSet():
            return names.put_image_set(theirs, names.version("images", theirs.name))
        case TextSet():
            return names.put_text_set(theirs, names.version("texts", theirs.name))
        case Instrument():
            return names.put_instrument(theirs, names.version(INSTRUMENTS[type(theirs)], theirs.name))


def _bring_pictures(here: Folder, there: Folder, theirs: Source | Instrument) -> None:
    """Copy the pictures of a set that are kept in the other store; `StoreError` for one that changed."""
    if not isinstance(theirs, ImageSet):
        return
    ours, pictures = Pictures(here.objects), Pictures(there.objects)
    for row in theirs.entries.select(["path", "digest"]).to_pylist():
        path = str(row["path"])
        if not path.startswith(KEPT) or ours.exists(path):
            continue
        data = pictures.read(path)
        if digest.of_bytes(data) != row["digest"]:
            raise StoreError(f"the picture {path} has changed since it was added")
        ours.keep(data)


def mark(here: Folder, there: Folder, matched: Matched) -> list[str]:
    """Let the combinations of inputs that were filled there count as filled here, under the names here.

    Gives the marks that are not as they were written.
    """
    damaged = []
    for info in there.objects.list("recipes/"):
        _, view, *names, file = info.path.split("/")
        data = there.objects.get(info.path)
        if not _is_whole(data, file.removesuffix(".json")):
            damaged.append(f"{info.path}: its bytes changed")
            continue
        for ours in _here(view, names, matched):
            path = "/".join(["recipes", view, *ours, file])
            if not here.objects.exists(path):
                here.objects.create(path, data)
    return damaged


def _is_whole(data: bytes, key: str) -> bool:
    """Tell whether the bytes of a recipe are those that its key is the digest of."""
    try:
        facts = json.loads(data)
        facts.pop("sha256", None)
        return digest.key_of(facts) == key
    except (AttributeError, TypeError, ValueError):
        return False


def _here(view: str, names: Sequence[str], matched: Matched) -> Iterator[Sequence[str]]:
    """Give the names here of a combination of names there; none for a view that is not known here."""
    if view in all_views():
        kinds = needed_inputs(all_views()[view])
        pairs = zip(kinds, names, strict=False)  # some views can be without texts, and then have no third
        yield from product(*(matched.same.get(pair, []) for pair in pairs))
