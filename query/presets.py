"""Presets of views: values of several parameters under one name."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from ..store.errors import UnknownName
from ..store.views import View


def with_preset(cls: type[View], params: Mapping[str, Any], known: Collection[str]) -> Mapping[str, Any]:
    """Spell out `preset=…`, as far as parameters are known; one that is given goes before its value of it.

    Raises `UnknownName` for a preset that neither the view nor one beneath it has.
    """
    presets = _presets(cls) if "preset" in params else {}
    if not presets:
        return params
    given = {name: value for name, value in params.items() if name != "preset"}
    if params["preset"] not in presets:
        raise UnknownName(f"preset of {cls.name()}", str(params["preset"]), presets)
    chosen = presets[params["preset"]]
    return {**{name: value for name, value in chosen.items() if name in known}, **given}


def _presets(cls: type[View]) -> dict[str, dict[str, Any]]:
    """List the presets of a view and of those beneath it, each with the values of all of them."""
    found: dict[str, dict[str, Any]] = {}
    for each in cls.tree():
        for name, values in each.presets.items():
            found.setdefault(name, {}).update(values)
    return found
