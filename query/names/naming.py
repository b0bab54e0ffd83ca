"""Names that are taken back or changed; what was computed stays as it is."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any, cast

from ...compute.views import all_views, view_class
from ...store.errors import BadSource, BelvedereError, DamagedObject, UnknownName
from ...store.folder import Folder
from ...store.registry import INSTRUMENTS, SAID, Kind, check_name
from ...store.sets import Instrument, Model
from ...store.views import Source
from ..engine import Engine
from ..known import NamedKind
from ..resolve import COLUMN_OF, added_as, needed_inputs, registered
from ..sql import declared
from ..sql.declared import Declaration

KINDS: dict[str, Kind] = {
    **{"model": "models", "images": "images", "texts": "texts"},
    **{kind.__name__.lower(): under for kind, under in INSTRUMENTS.items()},
}
"""What names stand for, as commands and arguments call it."""
_A = {
    **{"model": "a model", "images": "a set of images", "texts": "a set of texts"},
    **{kind.__name__.lower(): f"a {SAID[under]}" for kind, under in INSTRUMENTS.items()},
}


@dataclass(frozen=True, slots=True)
class Standing:
    """A name, and what stands behind it; that stays in the store whatever becomes of the name."""

    kind: str
    """What the name stands for: model, images, texts, or an instrument's kind such as captioner."""
    name: str
    """The name."""
    units: int
    """How many units are kept that were made under the name, or under one that it had before."""
    bytes: int
    """What these units take, metadata aside."""
    shared: tuple[str, ...]
    """Other names of the kind that stand for the same contents, and so for the same units."""


def remove(engine: Engine, name: str, kind: str | None, *, dry_run: bool) -> Standing:
    """Let a name stand for nothing; see `Store.remove`."""
    found = kind_of(engine.folder, name, kind)
    behind = standing(engine, name, found)
    if not dry_run:
        engine.folder.names.remove(KINDS[found], name)
    return behind


def rename(engine: Engine, old: str, new: str, kind: str | None) -> None:
    """Let another name stand for what a name stands for; see `Store.rename`."""
    folder, found = engine.folder, kind_of(engine.folder, old, kind)
    check_name(_A[found], new)

    def follow() -> None:
        for name, view in all_views().items():
            needed = needed_inputs(view)
            if found in needed:
                folder.records.follow(name, needed.index(found), old, new)
        if found in COLUMN_OF:
            folder.failures.follow(COLUMN_OF[found], old, new)

    folder.names.rename(KINDS[found], old, new, follow)
    for name in folder.names.names("declared"):
        put = False
        while not put:  # another process declares it at the same time: look again
            after = folder.names.version("declared", name)
            each = declared.find(folder, name)
            renamed = each and _renamed(each, found, old, new)
            put = renamed == each or folder.names.put_declared(name, asdict(cast("Any", renamed)), after)


def _renamed(each: Declaration, kind: str, old: str, new: str) -> Declaration:
    """Give a declaration with another name for what it is of; a statement stays as it was written."""
    if each.view is None:
        return each
    inputs = {**each.inputs, **({kind: new} if each.inputs.get(kind) == old else {})}
    named: Mapping[str, NamedKind] = {}
    with suppress(BelvedereError):  # a view of a package that is not there: nobody knows its parameters
        named = registered(view_class(each.view).picked(each.parameters))
    moved = {
        param: new
        for param, value in each.parameters.items()
        if param in named and value == old and added_as(named[param]) == kind
    }
    return replace(each, inputs=inputs, parameters={**each.parameters, **moved})


def kind_of(folder: Folder, name: str, kind: str | None) -> str:
    """Find what a name stands for.

    Raises:
        UnknownName: It stands for nothing of that kind, or there is no such kind.
        BadSource: It stands for several things, and none of them is named.
    """
    if kind is not None and kind not in KINDS:
        raise UnknownName("kind of name", kind, KINDS)
    found = [each for each, under in KINDS.items() if folder.names.has(under, name)]
    if kind in found:
        return kind
    if kind is not None or not found:
        asked = [kind] if kind is not None else list(KINDS)
        known = sorted({each for one in asked for each in folder.names.names(KINDS[one])})
        what = (
            _A[kind].partition(" ")[2] if kind is not None else "model, set of images, texts, or instrument"
        )
        raise UnknownName(what, name, known)
    if len(found) > 1:
        listed = " and ".join(_A[each] for each in found)
        raise BadSource(f"{name!r} stands for {listed}; say which: {' or '.join(found)}")
    return found[0]


def standing(engine: Engine, name: str, kind: str) -> Standing:
    """Say what stands behind a name: the units that were made under it, and names that share its contents.

    What was made with an instrument is not counted: units do not say by which name it was called.
    """
    folder, column, sizes = engine.folder, COLUMN_OF.get(kind, ""), list[int]()
    named = {name}
    with suppress(DamagedObject):  # it can be taken back all the same
        named |= {*source(folder, name, kind).formerly}
    for _, brief in folder.records.all_briefs():
        made_for = brief.covers.get(column)
        if (made_for["name"] if isinstance(made_for, dict) else made_for) in named:
            sizes.append(brief.nbytes)
    return Standing(kind, name, len(sizes), sum(sizes), _shared(folder, name, kind))


def _shared(folder: Folder, name: str, kind: str) -> tuple[str, ...]:
    """List the other names that stand for the same contents; nobody can say of one that is damaged."""
    mine = _contents(folder, name, kind)
    others = [each for each in folder.names.names(KINDS[kind]) if each != name and mine is not None]
    return tuple(each for each in others if _contents(folder, each, kind) == mine)


def _contents(folder: Folder, name: str, kind: str) -> Any:
    """Give what tells the contents of a name from others; None where the name is damaged."""
    try:
        return contents(source(folder, name, kind))
    except DamagedObject:
        return None


def contents(found: Source | Instrument) -> Any:
    """Give what tells a model, an instrument or a set from all others; names and places are no part."""
    if isinstance(found, Instrument):
        return found.key
    if isinstance(found, Model):
        return found.identity("image"), found.identity("text")
    return found.all_contents


def source(folder: Folder, name: str, kind: str) -> Source | Instrument:
    """Give what a name of a kind stands for; `UnknownName` where that is nothing."""
    for each, under in INSTRUMENTS.items():
        if KINDS[kind] == under:
            return folder.names.instrument(each, name)
    if kind == "model":
        return folder.names.model(name)
    return folder.names.image_set(name) if kind == "images" else folder.names.text_set(name)
