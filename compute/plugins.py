"""Views of other packages: named by their entry points, and each looked over before it is let in."""

from __future__ import annotations

import contextlib
import importlib.metadata
import inspect
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass
from importlib.metadata import EntryPoint
from typing import Any, Literal, get_args, get_origin

from ..store.errors import BrokenView
from ..store.parts import ARROW
from ..store.sets import ImageSet, Model, TextSet
from ..store.views import ArrayView, Field, TableView, View
from . import kinds
from .joined import JOINED

GROUP = "belvedere.views"
"""The group of entry points; each is called as its view is, and leads to the view's class."""
RESERVED = frozenset(
    {"models", "image_sets", "images", "text_sets", "texts", "views", "units", "errors", "runs"}
    | {"instruments", "replies"}
    | {"imported_labels", "imported_scores", "human_ratings", "imports", "import_rejects"}
    | JOINED.keys()
)
"""Names of the catalog's own tables, and those that stand for several views."""
PLAIN = (bool, int, float, str)
"""Types that a parameter can have, beside a `Literal`."""
KINDS = tuple(
    each
    for each in vars(kinds).values()
    if isinstance(each, type) and issubclass(each, View) and each.__module__ == kinds.__name__
)
"""The ways in which units come to be."""


@dataclass(frozen=True, slots=True)
class Broken:
    """A view of another package that cannot be used."""

    name: str
    """The name of the entry point."""
    packages: tuple[str, ...]
    """The packages that name it, with their versions."""
    reason: str
    """What is wrong with it."""

    def error(self) -> BrokenView:
        """Say so to somebody who asked for it."""
        return BrokenView(self.name, self.packages, self.reason)


@dataclass(frozen=True, slots=True)
class Plugins:
    """What the packages that are installed bring."""

    views: Mapping[str, type[View]]
    """Their views, by name."""
    packages: Mapping[str, str]
    """The package of each."""
    broken: Mapping[str, Broken]
    """What they name and cannot be used."""


def find(known: Mapping[str, type[View]]) -> Plugins:
    """Load the views of other packages; `known` are Belvedere's own, whose names they cannot take.

    What a package prints while it is imported goes to stderr: stdout is for answers.
    """
    named: dict[str, list[EntryPoint]] = defaultdict(list)
    for point in importlib.metadata.entry_points(group=GROUP):
        named[point.name].append(point)
    views: dict[str, type[View]] = {}
    broken: dict[str, Broken] = {}
    for name, points in sorted(named.items()):
        try:
            views[name] = _load(name, points, known)
        except _Unusable as fault:
            broken[name] = Broken(name, _packages(points), str(fault))
    while astray := dict(_astray(views, known)):
        for name, reason in astray.items():
            del views[name]
            broken[name] = Broken(name, _packages(named[name]), reason)
    return Plugins(views, {name: _package(named[name][0]) for name in views}, dict(sorted(broken.items())))


class _Unusable(Exception):
    """Why an entry point gives no view."""


def _load(name: str, points: list[EntryPoint], known: Mapping[str, type[View]]) -> type[View]:
    """Import one view and look it over; nothing is imported whose name is not free."""
    if name in known:
        raise _Unusable("Belvedere has a view of that name")
    if name in RESERVED:
        raise _Unusable("the catalog has a table of that name")
    if len(points) > 1:
        raise _Unusable(f"{len(points)} entry points have that name")
    try:
        with contextlib.redirect_stdout(sys.stderr):
            found = points[0].load()
        fault = next(_faults(name, found), None)
    except (Exception, SystemExit) as error:  # whatever a stranger's code raises
        raise _Unusable(f"{points[0].value} raised {type(error).__name__}: {error}") from error
    if fault is not None:
        raise _Unusable(f"{points[0].value} {fault}")
    view: type[View] = found
    return view


def _faults(name: str, found: Any) -> Iterator[str]:
    """Say what is wrong with what an entry point leads to."""
    if not isinstance(found, type) or not issubclass(found, View):
        yield f"is no view but {found!r}"
        return
    if found.name() != name:
        yield f"is the view {found.name()!r}; the entry point must be called so"
    settings = vars(found).get("__dataclass_params__")
    if settings is None or not settings.frozen:
        yield "is no dataclass with frozen=True"
    if not issubclass(found, KINDS) or not issubclass(found, ArrayView | TableView):
        kinds = ", ".join(sorted(each.__name__ for each in KINDS))
        yield f"must derive from a way to make units ({kinds}), and from ArrayView or TableView"
    if inspect.isabstract(found):
        yield f"leaves out {', '.join(sorted(found.__abstractmethods__))}"
    if not hasattr(found, "axis"):
        yield "does not say along which `axis` it is cut into units"
    for field in found.fields():
        yield from _wrong(field)
    if issubclass(found, TableView):
        yield from _wrong_columns(found)


def _wrong(field: Field) -> Iterator[str]:
    """Say what is wrong with a field."""
    if field.role == "input":
        if field.type not in (Model, ImageSet, TextSet) and not _is_view(field.type):
            yield f"has an input {field.name} that is neither Model, ImageSet, TextSet nor a view"
        return
    if get_origin(field.type) is not Literal and field.type not in PLAIN:
        yield f"has a parameter {field.name} that is neither bool, int, float, str nor a Literal of those"
    elif field.default is MISSING:
        yield f"has a parameter {field.name} without a default; a bare name stands for the defaults"
    elif get_origin(field.type) is Literal and field.default not in get_args(field.type):
        yield f"has a parameter {field.name} whose default {field.default!r} is none of its values"


def _wrong_columns(found: type[TableView]) -> Iterator[str]:
    """Say what is wrong with the columns of a table."""
    columns = {**getattr(found, "columns", {}), **found.beside}
    if not columns:
        yield "is a table without `columns`"
    taken = sorted({"model", "image_set", "text_set"} & set(columns))
    if taken:
        yield f"has columns {', '.join(taken)}, which every table gets from its inputs"
    strange = sorted(f"{name}: {kind}" for name, kind in columns.items() if kind not in ARROW)
    if strange:
        yield f"has columns of unknown type ({', '.join(strange)}); there are {', '.join(ARROW)}"


def _astray(views: Mapping[str, type[View]], known: Mapping[str, type[View]]) -> Iterator[tuple[str, str]]:
    """Find views made from one that cannot be asked for by its name.

    Units are kept under the view's name: what two packages keep under one that is nobody's would be mixed up.
    """
    every = {**known, **views}
    for name, view in views.items():
        for field in view.fields():
            if _is_view(field.type) and every.get(field.type.name()) is not field.type:
                yield name, f"is made from {field.type.__qualname__}, which no entry point makes a view"
                break


def _is_view(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, View)


def _packages(points: list[EntryPoint]) -> tuple[str, ...]:
    found = [f"{_package(each)} {each.dist.version}" if each.dist else each.value for each in points]
    return tuple(sorted(found))


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist else point.module
