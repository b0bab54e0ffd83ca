"""Views that were filled with other parameters than the defaults, found again by what is kept of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ...compute.heads.head_sets import conditions
from ...store import digest
from ...store.errors import BelvedereError
from ...store.views import View
from ..causes import Recipe, flat, same_question
from ..engine import Engine
from ..known import Inputs, Names
from ..resolve import needed_inputs, of_heads, parameters, registered, resolve
from .combinations import Filled, spelled_out


@dataclass(frozen=True, slots=True)
class Lost:
    """Units that are kept under names that there are, and that cannot be asked for any more."""

    units: int
    """How many."""
    reason: str
    """Why not: what they were made from is gone, or is no more what it was."""


def filled_otherwise(
    engine: Engine, cls: type[View], filled: Filled, usual: Iterable[View]
) -> Iterator[tuple[str, View | Lost]]:
    """List a view with parameters, other than those of `usual`, that it was filled with, after its title."""
    if not filled.knows(cls):
        return
    names = Names(engine)
    there = {"model": names.models, "images": names.image_sets, "texts": names.text_sets}
    known: dict[tuple[str, ...], list[View]] = {}
    for view in usual:
        known.setdefault(tuple(view.names.values()), []).append(view)
    lost: set[str] = set()
    for place, recipe in engine.folder.records.every_recipe(cls.name()):
        picked = cls.picked(flat(recipe))
        needed = needed_inputs(picked)
        mine = known.setdefault(place, [])
        if len(place) != len(needed) or any(same_question(recipe, view) for view in mine):
            continue
        inputs, given = dict(zip(needed, place, strict=True)), _given(picked, recipe)
        views, reasons = _asked_for(engine, names, picked, Inputs(**inputs), given)
        if not views and reasons:
            title = f"{cls.name()}[{' × '.join([*place, *conditions(recipe), *_told_apart(picked, given)])}]"
            units = len(engine.folder.records.places(cls, digest.key_of(recipe)))
            if units and title not in lost and all(name in there[kind]() for kind, name in inputs.items()):
                lost.add(title)
                yield title, Lost(units, reasons[0])
        for view in views:
            if filled.is_of(view, recipe):
                mine.append(view)
                yield f"{view.title()}{_with(picked, view, given)}", view


def _asked_for(
    engine: Engine, names: Names, cls: type[View], inputs: Inputs, given: Mapping[str, Any]
) -> tuple[list[View], list[str]]:
    """Build a view with some parameters, and each registered name that the others can be; or say why not."""
    views: list[View] = []
    reasons: list[str] = []
    for values in spelled_out(names, cls, inputs, given) or [dict(given)]:
        try:
            views.append(engine.same(resolve(names, cls.name(), inputs, values)))
        except BelvedereError as error:
            reasons.append(" ".join(str(error).split()))
    return views, reasons


def _given(cls: type[View], recipe: Recipe) -> dict[str, Any]:
    """Read from a recipe with which parameters a view was asked for; not those that are registered names."""
    there, named = flat(recipe), registered(cls)
    names = [field.name for field in parameters(cls) if field.name not in (*named, *of_heads(cls))]
    found = {name: there[name] for name in names if name in there}
    asked = next(conditions(recipe), None)
    return found if asked is None else {**found, **dict.fromkeys(of_heads(cls), asked)}


def _told_apart(cls: type[View], given: Mapping[str, Any]) -> list[str]:
    """List the parameters that a table of the view has a column of, as its title has them."""
    there = [name for name in cls.columns if name in given and name not in of_heads(cls)]
    return [str(given[name]) for name in there]


def _with(cls: type[View], view: View, given: dict[str, Any]) -> str:
    """Say which parameters are not the defaults, but for those that its title has."""
    defaults = {field.name: field.default for field in parameters(cls)}
    told = {name: value for name, value in given.items() if name not in view.constant()}
    found = [f"{name}={value!r}" for name, value in told.items() if value != defaults[name]]
    return f" with {', '.join(found)}" if found else ""
