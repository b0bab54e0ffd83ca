"""One file a view; the folder is the list of them."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from ...store.errors import UnknownName
from ...store.views import View


@cache
def all_views() -> dict[str, type[View]]:
    """Find the view that each file here declares: a class named as its file is, in camel case."""
    found: dict[str, type[View]] = {}
    for module in pkgutil.iter_modules(__path__):
        name = "".join(word.capitalize() for word in module.name.split("_"))
        found[module.name] = getattr(importlib.import_module(f".{module.name}", __name__), name)
    return found


def view_class(name: str) -> type[View]:
    """Give the view of a name; `UnknownName` with the nearest one."""
    if name not in all_views():
        raise UnknownName("view", name, all_views(), f"belvedere views lists all {len(all_views())}")
    return all_views()[name]
