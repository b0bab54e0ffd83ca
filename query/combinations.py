"""The combinations of inputs that the name of a view can stand for, and which of them were filled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import product
from types import MappingProxyType
from typing import Any

from ..store import digest
from ..store.errors import NotAnnotated, NoTextTower, NotImported, UnsuitableModule, UnsupportedTower
from ..store.records import Records
from ..store.views import View
from .causes import same_question
from .engine import Engine
from .resolve import Inputs, Names, needed_inputs, registered, required, resolve
from .resolve import parameters as declared

_NONE: Mapping[str, Any] = MappingProxyType({})


def instances(
    engine: Engine,
    cls: type[View],
    inputs: Mapping[str, str] = _NONE,
    params: Mapping[str, Any] = _NONE,
) -> list[View]:
    """List a view for all combinations of registered inputs and modules, or of those that are given.

    Parameters that are not given are at their defaults. The list is made once while the names that it is of
    stand for the same. Raises `UnknownName` for a given name that stands for nothing.
    """
    names = Names(engine.folder.names)
    known = {"model": names.models, "images": names.image_sets, "texts": names.text_sets}
    get = {"model": names.model, "images": names.image_set, "texts": names.text_set}
    needed = needed_inputs(cls)
    there = {kind: [inputs[kind]] if kind in inputs else known[kind]() for kind in needed}
    sources: tuple[Any, ...] = tuple(get[kind](name) for kind in needed for name in there[kind])
    sources += tuple(names.get(kind, name) for kind in registered(cls).values() for name in names.every(kind))
    asked = cls, digest.of_facts([dict(inputs), dict(params)])
    if asked not in engine.instances or engine.instances[asked][0] != sources:
        combinations = [
            Inputs(**dict(zip(needed, each, strict=True)))
            for each in product(*(there[kind] for kind in needed))
        ]
        engine.instances[asked] = sources, list(_instances(engine, cls, names, combinations, params))
    return engine.instances[asked][1]


def _instances(
    engine: Engine,
    cls: type[View],
    names: Names,
    inputs: Sequence[Inputs],
    params: Mapping[str, Any],
) -> Iterator[View]:
    for each in inputs:
        for values in _required(names, cls, each, params):
            with suppress(UnsupportedTower, NoTextTower, NotImported, NotAnnotated, UnsuitableModule):
                yield engine.same(resolve(names, cls.name(), each, values))


def _required(
    names: Names, cls: type[View], inputs: Inputs, params: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """List what the parameters that have no default can be: the modules of a model, imports as they are."""
    there = [(name, names.every(kind)) for name, kind in registered(cls).items() if name not in params]
    if not all(known for _, known in there):
        return []  # the view needs an instrument that is not registered
    several = [[(name, each) for each in known] for name, known in there if len(known) > 1]
    return [
        {**values, **dict(chosen)}
        for values in _required_values(names, cls, inputs, params)
        for chosen in product(*several)
    ]


def _required_values(
    names: Names, cls: type[View], inputs: Inputs, params: Mapping[str, Any]
) -> list[dict[str, Any]]:
    needed = [field.name for field in required(cls) if field.name not in params]
    if not needed:
        return [dict(params)]
    if needed != ["module"] or inputs.model is None:
        return []
    model = names.model(inputs.model)
    said = {key: value for key, value in (model.imported or {}).items() if key == "pool"}
    pool = said if "pool" in {field.name for field in declared(cls)} else {}
    modules = (name for name, module in model.modules.items() if module.problem is None)
    return [{"module": name, **pool, **params} for name in modules]


class Filled:
    """Tells which combinations were filled before, as one question sees them: each folder is listed once."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._known: dict[tuple[str, ...], list[dict[str, Any]]] = {}

    def has(self, view: View) -> bool:
        """Tell whether a combination was filled, and so belongs to the table of its name."""
        place = (view.name(), *view.names.values())
        if place not in self._known:
            self._known[place] = [recipe for _, recipe in self._records.recipes(view)]
        return any(same_question(recipe, view) for recipe in self._known[place])
