"""Views that were filled with other parameters than the defaults, found again by what is kept of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

from ..compute.head_sets import conditions, takes_heads
from ..store.errors import BelvedereError
from ..store.views import View
from .causes import Recipe, flat, same_question
from .combinations import Filled
from .engine import Engine
from .resolve import Inputs, Names, needed_inputs, parameters, registered, resolve


def filled_otherwise(
    engine: Engine, cls: type[View], filled: Filled, usual: Iterable[View]
) -> Iterator[tuple[str, View]]:
    """List a view with the parameters, other than those of `usual`, that it was filled with, after its title.

    What cannot be asked again, as what it names is gone, is left out.
    """
    if not filled.knows(cls):
        return
    names, needed = Names(engine), needed_inputs(cls)
    known: dict[tuple[str, ...], list[View]] = {}
    for view in usual:
        known.setdefault(tuple(view.names.values()), []).append(view)
    for place, recipe in engine.folder.records.every_recipe(cls.name()):
        there = known.setdefault(place, [])
        if len(place) != len(needed) or any(same_question(recipe, view) for view in there):
            continue
        given = _given(cls, recipe)
        with suppress(BelvedereError):
            inputs = Inputs(**dict(zip(needed, place, strict=True)))
            view = engine.same(resolve(names, cls.name(), inputs, given))
            if same_question(recipe, view) and filled.has(view):
                there.append(view)
                yield f"{view.title()}{_with(cls, view, given)}", view


def _given(cls: type[View], recipe: Recipe) -> dict[str, Any]:
    """Read from a recipe with which parameters a view was asked for; not those that are registered names."""
    there, named = flat(recipe), registered(cls)
    fields = [field.name for field in parameters(cls) if not takes_heads(field)]
    found = {name: there[name] for name in fields if name in there and name not in named}
    asked = next(conditions(recipe), None)
    return found if asked is None else {**found, **dict.fromkeys(_of_heads(cls), asked)}


def _of_heads(cls: type[View]) -> list[str]:
    return [field.name for field in parameters(cls) if takes_heads(field)]


def _with(cls: type[View], view: View, given: dict[str, Any]) -> str:
    """Say which parameters are not the defaults, but for those that its title has."""
    defaults = {field.name: field.default for field in parameters(cls)}
    told = {name: value for name, value in given.items() if name not in view.constant()}
    found = [f"{name}={value!r}" for name, value in told.items() if value != defaults[name]]
    return f" with {', '.join(found)}" if found else ""
