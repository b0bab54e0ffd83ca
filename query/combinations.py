"""The combinations of inputs that the name of a view can stand for, and which of them were filled."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import product
from typing import Any

from ..store.errors import NoTextTower, NotImported, UnsuitableModule, UnsupportedTower
from ..store.records import Records
from ..store.views import View
from .causes import same_question
from .engine import Engine
from .resolve import Inputs, Names, needed_inputs, required, resolve
from .resolve import parameters as declared


def instances(engine: Engine, cls: type[View]) -> list[View]:
    """List a view, parameters at their defaults, for all combinations of registered inputs and modules.

    The list is made once while the names that it is of stand for the same.
    """
    names = Names(engine.folder.names)
    known = {"model": names.models, "images": names.image_sets, "texts": names.text_sets}
    get = {"model": names.model, "images": names.image_set, "texts": names.text_set}
    needed = needed_inputs(cls)
    sources: tuple[Any, ...] = tuple(get[kind](name) for kind in needed for name in known[kind]())
    if cls not in engine.instances or engine.instances[cls][0] != sources:
        combinations = product(*(known[kind]() for kind in needed))
        inputs = [Inputs(**dict(zip(needed, each, strict=True))) for each in combinations]
        engine.instances[cls] = sources, list(_instances(engine, cls, names, inputs))
    return engine.instances[cls][1]


def _instances(engine: Engine, cls: type[View], names: Names, inputs: Sequence[Inputs]) -> Iterator[View]:
    for each in inputs:
        for params in _required(names, cls, each):
            with suppress(UnsupportedTower, NoTextTower, NotImported, UnsuitableModule):
                yield engine.same(resolve(names, cls.name(), each, params))


def _required(names: Names, cls: type[View], inputs: Inputs) -> list[dict[str, str]]:
    """List what the parameters that have no default can be: the modules of a model, imports as they are."""
    needed = [field.name for field in required(cls)]
    if not needed:
        return [{}]
    if needed != ["module"] or inputs.model is None:
        return []
    model = names.model(inputs.model)
    said = {key: value for key, value in (model.imported or {}).items() if key == "pool"}
    pool = said if "pool" in {field.name for field in declared(cls)} else {}
    return [{"module": name, **pool} for name, module in model.modules.items() if module.problem is None]


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
