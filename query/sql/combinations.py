"""The combinations of inputs that the name of a view can stand for, and which of them were filled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import product
from operator import contains
from types import MappingProxyType
from typing import Any, NamedTuple

from ...compute.heads.head_sets import conditions
from ...store import digest
from ...store.errors import (
    BadSelection,
    BadSource,
    CannotJudge,
    NamingError,
    NoCategories,
    NoLaterHead,
    NotAnnotated,
    NoTextTower,
    NotImported,
    QueryError,
    UnsuitableModule,
    UnsupportedTower,
)
from ...store.folder import Folder
from ...store.sets import SIDES, References
from ...store.views import Field, View
from ..causes import flat, same_question
from ..completeness import Refused
from ..engine import Engine
from ..known import Inputs, Names, of_methods
from ..resolve import COLUMN_OF, modules_of, needed_inputs, of_heads, registered, required, resolve
from ..resolve import parameters as declared

_NONE: Mapping[str, Any] = MappingProxyType({})
_NOT_OF_THIS = (
    *(CannotJudge, NoCategories, NoLaterHead, NotAnnotated, NoTextTower, NotImported),
    *(UnsuitableModule, UnsupportedTower),
)
"""Errors that say that a view cannot be of some combination; it is left out."""


class Said(NamedTuple):
    """What a statement says, and what is found of it that there cannot be."""

    texts: frozenset[str]
    """All its texts: names are among them."""
    heads: frozenset[str]
    """Those that it asks for in a column `heads`: conditions."""
    refused: list[Refused]
    """Noted where combinations are built."""


def instances(
    engine: Engine,
    cls: type[View],
    inputs: Mapping[str, str] = _NONE,
    params: Mapping[str, Any] = _NONE,
    among: Filled | None = None,
    said: Said | None = None,
) -> list[View]:
    """List a view for all combinations of registered inputs and modules, or of those that are given.

    Parameters that are not given are at their defaults. The list is made once while the names that it is of
    stand for the same. `among` leaves those that were filled; of views that never were, none is built. Heads
    are all, and those of conditions with which it was filled, or that a statement has (`said`).
    Raises `UnknownName` for a given name that stands for nothing, `BadSelection` for heads that no model has.
    """
    names, said = Names(engine), said or Said(frozenset(), frozenset(), [])
    picks = [{**params, **each} for each in _picks(engine, names, cls, params, said)]
    return [view for each in picks for view in _picked(engine, names, cls, inputs, each, among, said)]


def _picks(
    engine: Engine, names: Names, cls: type[View], params: Mapping[str, Any], said: Said
) -> list[dict[str, Any]]:
    """List what the parameters that pick what a view is made from can be, those left that are not given.

    All methods of ours; of those whose labels were imported the ones that a statement names, and those of
    which the view was filled: all pairs of a hundred would be ten thousand.
    """
    every = {param: [*cls.choices().get(param, ())] for param in (*cls.choices(), *of_methods(cls))}
    left = {param: values for param, values in every.items() if param not in params}
    found: list[dict[str, Any]] = [dict(zip(left, each, strict=True)) for each in product(*left.values())]
    open_to = [param for param in of_methods(cls) if param in left]
    there = set(names.imported_methods) if open_to else set()
    if not there:
        return found
    asked = there & said.texts
    for param in open_to:
        left[param] = list(dict.fromkeys((*left[param], *asked)))
    found += [dict(zip(left, each, strict=True)) for each in product(*left.values())] if asked else []
    for _, recipe in engine.folder.records.every_recipe(cls.name()):
        before = flat(recipe)
        mine = {param: before.get(param) for param in left}
        if all(mine[param] in there or mine[param] in every[param] for param in left):
            found.append(mine)
    return list({tuple(each.items()): each for each in found}.values())


def _picked(
    engine: Engine,
    names: Names,
    cls: type[View],
    inputs: Mapping[str, str],
    params: Mapping[str, Any],
    among: Filled | None,
    said: Said,
) -> list[View]:
    """List a view of which every choice is made."""
    cls = cls.picked(params)
    if among is not None:
        every = _picked(engine, names, cls, inputs, params, None, said) if among.knows(cls) else []
        return [view for view in every if among.has(view)]
    known = {"model": names.models, "images": names.image_sets, "texts": names.text_sets}
    get = {"model": names.model, "images": names.image_set, "texts": names.text_set}
    needed = needed_inputs(cls)
    there = {kind: [inputs[kind]] if kind in inputs else known[kind]() for kind in needed}
    sources: tuple[Any, ...] = tuple(get[kind](name) for kind in needed for name in there[kind])
    sources += tuple(names.get(kind, name) for kind in registered(cls).values() for name in names.every(kind))
    if any(params.get(param) not in cls.choices().get(param, ()) for param in of_methods(cls)):
        sources += (names.imported.seen,)
    asked = cls, digest.of_facts([dict(inputs), dict(params)])
    takes = of_heads(cls)
    if any(each in params for each in takes):  # what a condition chooses can change although no name does
        return _all(engine, cls, names, needed, there, params, [])
    if asked not in engine.instances or engine.instances[asked][0] != sources:
        refused: list[Refused] = []
        views = _all(engine, cls, names, needed, there, params, refused)
        engine.instances[asked] = sources, views, refused
    found = [*engine.instances[asked][1]]
    said.refused.extend(engine.instances[asked][2])
    for given, places in _conditions(engine, cls, takes, there, said) if takes else ():
        try:
            found += _all(engine, cls, names, needed, places, {**params, **given}, said.refused)
        except (QueryError, BadSource, BadSelection, NamingError) as error:  # it cannot be asked (any more)
            said.refused.append(Refused(_columns(places) | given, str(error)))
    return found


def _columns(places: Mapping[str, Sequence[str]]) -> dict[str, str]:
    return {COLUMN_OF[kind]: each[0] for kind, each in places.items()}


def _all(
    engine: Engine,
    cls: type[View],
    names: Names,
    needed: Sequence[str],
    there: Mapping[str, Sequence[str]],
    params: Mapping[str, Any],
    refused: list[Refused],
) -> list[View]:
    found: list[View] = []
    trouble: BadSelection | None = None
    for each in product(*(there[kind] for kind in needed)):
        one = dict(zip(needed, each, strict=True))
        try:
            found += _instances(engine, cls, names, one, params, refused)
        except BadSelection as error:  # a tower without such a head; others may have it
            trouble = error
    if trouble is not None and not found:
        raise trouble
    return found


def _conditions(
    engine: Engine,
    cls: type[View],
    takes: Sequence[str],
    there: Mapping[str, Sequence[str]],
    said: Said,
) -> Iterator[tuple[dict[str, Any], Mapping[str, Sequence[str]]]]:
    """Give conditions on heads, each with the names of which it may be asked.

    Those with which a view was filled are of the names under which it was; those of a statement are of the
    names that it has, where it has some.
    """
    places: dict[str, set[tuple[str, ...]]] = {}
    for place, recipe in engine.folder.records.every_recipe(cls.name()):
        if len(place) == len(there) and all(map(contains, there.values(), place)):
            for condition in conditions(recipe):
                places.setdefault(condition, set()).add(place)
    named = [[name for name in every if name in said.texts] or every for every in there.values()]
    for text in said.heads:
        places.setdefault(text, set()).update(product(*named))
    for condition, found in sorted(places.items()):
        for place in sorted(found):
            one = {kind: [name] for kind, name in zip(there, place, strict=True)}
            yield from (({param: condition}, one) for param in takes)


def _instances(
    engine: Engine,
    cls: type[View],
    names: Names,
    inputs: Mapping[str, str],
    params: Mapping[str, Any],
    refused: list[Refused],
) -> Iterator[View]:
    for values in spelled_out(names, cls, Inputs(**inputs), params):
        try:
            yield engine.same(resolve(names, cls.name(), Inputs(**inputs), values))
        except _NOT_OF_THIS as error:
            refused.append(Refused(_columns({kind: [name] for kind, name in inputs.items()}), str(error)))


def spelled_out(
    names: Names, cls: type[View], inputs: Inputs, params: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """List what the parameters that have no default can be: the modules of a model, imports as they are."""
    named = [each for each in declared(cls) if each.name in registered(cls) and each.name not in params]
    there = [(each.name, _known(names, each)) for each in named]
    if not all(known for _, known in there):
        return []  # the view needs an instrument that is not registered
    several = [[(name, each) for each in known] for name, known in there if len(known) > 1]
    return [
        {**values, **dict(chosen)}
        for values in _required_values(names, cls, inputs, params)
        for chosen in product(*several)
    ]


def _known(names: Names, field: Field) -> list[str | None]:
    """List what a parameter that is a registered name can be; None where it can be left out."""
    there: list[str | None] = [*names.every(field.type)]
    if field.type is References:
        return [None, *there]
    return there or ([None] if field.default is None else [])


def _required_values(
    names: Names, cls: type[View], inputs: Inputs, params: Mapping[str, Any]
) -> list[dict[str, Any]]:
    needed = [field.name for field in required(cls) if field.name not in params]
    if not needed:
        return [dict(params)]
    if needed not in (["module"], ["layer"]) or inputs.model is None:
        return []
    model = names.model(inputs.model)
    if needed == ["layer"]:
        return [{"layer": layer, **params} for layer in range(model.tower.layers if model.tower else 0)]
    said = {key: value for key, value in (model.imported or {}).items() if key == "pool"}
    pool = said if "pool" in {field.name for field in declared(cls)} else {}
    modules = (name for name, module in modules_of(cls, model).items() if module.problem is None)
    return [{"module": name, **pool, **params} for name in modules]


class Filled:
    """Tells which combinations were filled before, as one question sees them: each folder is listed once."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._known: dict[tuple[str, ...], list[dict[str, Any]]] = {}

    @cached_property
    def _names(self) -> set[str]:
        return self._folder.records.filled()

    @cached_property
    def _models(self) -> list[dict[str, Any]]:
        """What identifies each side of each model that is registered."""
        models = [self._folder.names.model(name) for name in self._folder.names.models()]
        return [each.identity(side) for each in models for side in SIDES]

    def knows(self, cls: type[View]) -> bool:
        """Tell whether any combination of a view was filled."""
        return cls.name() in self._names

    def has(self, view: View) -> bool:
        """Tell whether a combination was filled, and so belongs to the table of its name."""
        place = (view.name(), *view.names.values())
        if place not in self._known:
            self._known[place] = [recipe for _, recipe in self._folder.records.recipes(view)]
        return any(self.is_of(view, recipe) for recipe in self._known[place])

    def is_of(self, view: View, recipe: Mapping[str, Any]) -> bool:
        """Tell whether a recipe of a combination's names is one by which it was filled."""
        return same_question(recipe, view) and not self._by_another(recipe, view)

    def _by_another(self, recipe: Mapping[str, Any], view: View) -> bool:
        """Tell whether a recipe is of another registered model, where one that is compared with is chosen.

        Recipes have no names: what no registered model is any more may have been made with an earlier one.
        """
        for field, each in view.inputs().items():
            before = recipe["inputs"].get(field)
            if not isinstance(each, View) or before is None or before.get("view") != each.name():
                continue
            other = field in view.bound and (found := _models(before)) != _models(each.recipe)
            if other and any(model in self._models for model in found):
                return True
            if self._by_another(before, each):
                return True
        return False


def _models(recipe: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """List what identifies the models beneath a recipe."""
    beneath = recipe["inputs"].values()
    return [model for each in beneath for model in (_models(each) if "view" in each else [each])]
