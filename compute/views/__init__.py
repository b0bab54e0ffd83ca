"""One file a view; the folder is the list of them, to which other packages add theirs."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache

from ...store.errors import UnknownName
from ...store.views import View
from ..joined import JOINED
from ..plugins import Broken, Plugins, find


@cache
def built_in() -> dict[str, type[View]]:
    """Find the view that each file here declares: a class named as its file is, in camel case."""
    found: dict[str, type[View]] = {}
    for module in pkgutil.iter_modules(__path__):
        name = "".join(word.capitalize() for word in module.name.split("_"))
        found[module.name] = getattr(importlib.import_module(f".{module.name}", __name__), name)
    return found


@cache
def _plugins() -> Plugins:
    return find(built_in())


@cache
def all_views() -> dict[str, type[View]]:
    """List Belvedere's own views, and after them those of other packages that can be used."""
    return {**built_in(), **_plugins().views}


def broken_views() -> Mapping[str, Broken]:
    """List the views that other packages name and that cannot be used, with the reasons."""
    return _plugins().broken


def package_of(view: View) -> str | None:
    """Give the package that a view comes from; None for Belvedere's own."""
    return _plugins().packages.get(view.name())


def view_class(name: str) -> type[View]:
    """Give the view of a name; `UnknownName` with the nearest one, `BrokenView` with the reason.

    Of a name for several views, such as `neuron_labels`, it is the first.
    """
    refuse_broken(name)
    if name in JOINED:
        return all_views()[JOINED[name].view(name, None)]
    if name not in all_views():
        raise UnknownName("view", name, all_views(), f"belvedere views lists all {len(all_views())}")
    return all_views()[name]


def refuse_broken(name: str) -> None:
    """Raise `BrokenView` where another package names such a view and it cannot be used.

    A broken one that has the name of a view of Belvedere's own does not stand in its way.
    """
    if name in broken_views() and name not in all_views():
        raise broken_views()[name].error()
