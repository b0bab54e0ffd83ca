"""From a view's name and plain arguments to the view itself, checked at the door."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import MISSING, replace
from functools import cache
from types import MappingProxyType
from typing import Any, Literal, get_args, get_origin

from ..compute.heads.head_sets import takes_heads
from ..compute.joined import JOINED, picked
from ..compute.kinds import OfWeights, TextModulePass, TextRows, TextTowerPass, TowerPass
from ..compute.towers.text_support import text_shape
from ..compute.views import view_class
from ..store.errors import BadSource, NoTextTower, UnknownName, UnsupportedTower
from ..store.sets import (
    Captioner,
    Classes,
    Clip,
    ImageSet,
    Judge,
    Language,
    MethodLabels,
    Model,
    Module,
    Other,
    Painter,
    References,
    TextSet,
)
from ..store.views import Field, View
from .known import Inputs, NamedKind, Names, of_methods
from .presets import with_preset

_KINDS = {Model: "model", ImageSet: "images", TextSet: "texts"}
_NAMED = {
    Clip: "clip",
    Other: "other",
    Captioner: "captioner",
    Language: "language",
    Painter: "painter",
    Judge: "judge",
    References: "references",
    Classes: "classes",
}
"""Parameters whose values are registered names, by type."""
COLUMN_OF = {"model": Model.column, "images": ImageSet.column, "texts": TextSet.column}
"""The column of a table in which an input's name stands, by what arguments and commands call the input."""


def resolve(names: Names, name: str, inputs: Inputs, params: Mapping[str, Any]) -> View:
    """Build a view and all views beneath it.

    An input that is not given is the registered one, where there is just one that the view can be of. A
    parameter goes to every view of the tree that declares it.

    Raises:
        UnknownName: No view, input or parameter of that name, or no such value of a parameter.
        BadSource: An input is needed and not given.
    """
    asked = name if name not in JOINED else JOINED[name].spelled(name, params)
    name, params = picked(name, params)
    cls = view_class(name).picked(params)
    names.check_methods(cls, params)
    fields = {field.name: field for field in parameters(cls)}
    values: dict[str, Any] = {}
    params = with_preset(cls, params, fields)
    for param, value in params.items():
        if param not in fields:
            raise UnknownName(f"parameter of {asked}", param, fields)
        values[param] = _checked(name, fields[param], value)
    needed = needed_inputs(cls)
    for kind in ("model", "images", "texts"):
        if kind not in needed and getattr(inputs, kind) is not None:
            raise UnknownName(f"input of {asked}", kind, needed)
    lacking = [field.name for field in required(cls) if field.name not in values]
    if lacking:
        choices = (*cls.choices().get(lacking[0], ()), *_imported(names, cls, lacking[0]))
        said = ", ".join(dict.fromkeys(choices))
        which = f", one of {said}" if said else _which(names, cls, inputs, lacking[0])
        raise BadSource(f"{asked} needs {lacking[0]}=…{which}")
    return _build(names, cls, inputs, values, asked)


def _imported(names: Names, cls: type[View], param: str) -> list[str]:
    """List the methods whose labels were imported, where a parameter can be one."""
    return names.imported_methods if param in of_methods(cls) else []


def modules_of(cls: type[View], model: Model) -> Mapping[str, Module]:
    """Give the modules that a view can be of: those that texts go through, or images."""
    return model.text_modules if _is_of_texts(cls) else model.modules


@cache
def _is_of_texts(cls: type[View]) -> bool:
    return any(issubclass(each, TextModulePass) for each in cls.tree())


def _which(names: Names, cls: type[View], inputs: Inputs, param: str) -> str:
    """Say what a parameter can be, where that is known."""
    model = inputs.model or (names.models()[0] if len(names.models()) == 1 else None)
    if param != "module" or model is None:
        return ""
    known = [each for each, module in modules_of(cls, names.model(model)).items() if module.problem is None]
    return f", a module of {model!r}: {', '.join(known[:3])}, … (belvedere show {model} lists them)"


@cache
def needed_inputs(cls: type[View]) -> tuple[str, ...]:
    """List which registered names a view is asked of: model, images, texts."""
    found = {_KINDS[field.type] for field in _tree(cls) if field.role == "input" and field.type in _KINDS}
    return tuple(kind for kind in _KINDS.values() if kind in found)


@cache
def parameters(cls: type[View]) -> tuple[Field, ...]:
    """List the parameters of a view and of those beneath it, its own first."""
    found: dict[str, Field] = {}
    for field in _tree(cls):
        if field.role != "input":
            found.setdefault(field.name, field)
    return tuple(found.values())


@cache
def of_heads(cls: type[View]) -> tuple[str, ...]:
    """List the parameters of a view, and of those beneath it, that are conditions on heads."""
    return tuple(each.name for each in parameters(cls) if takes_heads(each))


@cache
def required(cls: type[View]) -> tuple[Field, ...]:
    """List the parameters that have no default; those that are registered names are looked up."""
    return tuple(each for each in parameters(cls) if each.default is MISSING and each.type not in _NAMED)


@cache
def registered(cls: type[View]) -> Mapping[str, NamedKind]:
    """List the parameters of a view, and of those beneath it, whose values are registered names."""
    return MappingProxyType({field.name: field.type for field in parameters(cls) if field.type in _NAMED})


def added_as(kind: NamedKind) -> str:
    """Give the kind of name that `belvedere add` takes for the value of a parameter of this type."""
    if issubclass(kind, TextSet):
        return "texts"
    return "model" if issubclass(kind, Clip) else kind.__name__.lower()


def read(name: str, texts: Mapping[str, str]) -> dict[str, Any]:
    """Read a view's parameters from text, each as its type asks for: a text stays one, all else is JSON."""
    kinds = parameters(view_class(picked(name, texts)[0]).picked(texts))
    plain = {field.name for field in kinds if field.type in {str, MethodLabels} or takes_heads(field)}
    return {param: text if param in plain else read_value(text) for param, text in texts.items()}


def read_value(text: str) -> Any:
    """Read JSON where a text is some, else the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _tree(cls: type[View]) -> Iterator[Field]:
    for field in cls.fields():
        yield replace(field, role="param") if takes_heads(field) else field
    for field in cls.fields():
        if field.role == "input" and isinstance(field.type, type) and issubclass(field.type, View):
            param = cls.bound.get(field.name)
            for each in _tree(field.type):
                if param is not None and each.role == "input" and each.type is Model:
                    yield _model(cls, param)
                else:
                    yield each


def _model(cls: type[View], param: str) -> Field:
    """Give the parameter that is the model of views beneath one in bound fields."""
    return Field(param, "param", Other if param in cls.textless else Clip, MISSING)


def _build(
    names: Names,
    cls: type[View],
    inputs: Inputs,
    params: Mapping[str, Any],
    asked: str,
    bound: Field | None = None,
) -> View:
    """Build a view; where it stands in a field that is bound, of the model of that parameter.

    `asked` is the name of the view that all of this is for.
    """
    values: dict[str, Any] = {}
    for field in cls.fields():
        if field.type is Model and bound is not None:
            values[field.name] = _named(names, asked, bound, params)
        elif field.type in _KINDS:
            values[field.name] = _source(names, cls, field, inputs, asked)
        elif takes_heads(field):
            condition = params.get(field.name)
            model = _source(names, cls, Field("model", "input", Model, MISSING), inputs, asked)
            values[field.name] = None if condition is None else names.heads(condition, inputs, model)
        elif field.role == "input":
            beneath = _model(cls, cls.bound[field.name]) if field.name in cls.bound else bound
            method = cls.picks.get(field.name)
            given = params if method is None else {**params, "method": params[method]}
            values[field.name] = _beneath(names, field.type, inputs, given, asked, beneath)
        elif field.type is MethodLabels:
            values[field.name] = names.method_labels(params[field.name], values["activations"])
        elif field.type in _NAMED:
            values[field.name] = _named(names, asked, field, params)
        elif field.name in params:
            values[field.name] = params[field.name]
    return cls(**values)


def _beneath(
    names: Names,
    cls: type[View],
    inputs: Inputs,
    params: Mapping[str, Any],
    asked: str,
    bound: Field | None,
) -> View:
    """Build a view beneath another; the same one for all that one question asks for with the same of it."""
    own = [each.name for each in parameters(cls)] + ([] if bound is None else [bound.name])
    key = cls, bound, inputs, tuple((name, params[name]) for name in own if name in params)
    if key not in names.built:
        names.built[key] = _build(names, cls, inputs, params, asked, bound)
    return names.built[key]


def _named(names: Names, asked: str, field: Field, params: Mapping[str, Any]) -> Any:
    """Find what a parameter that is a registered name stands for: the one given, or the only one."""
    name, kind = params.get(field.name), field.type
    if name is None and kind is References:
        return None  # no set of texts says what neurons are unless somebody says that it does
    if name is None:
        there = names.of(kind)
        if field.default is None and (field.name in params or not there):
            return None
        if len(there) != 1:
            listed = (
                f"there are {', '.join(there)}" if there else f"there is none: belvedere add {added_as(kind)}"
            )
            raise BadSource(f"{asked} needs {field.name}=…; {listed}")
        name = there[0]
    return names.get(kind, name)


def _source(names: Names, cls: type[View], field: Field, inputs: Inputs, asked: str) -> Any:
    kind = _KINDS[field.type]
    known, get = {
        "model": (names.models, names.model),
        "images": (names.image_sets, names.image_set),
        "texts": (names.text_sets, names.text_set),
    }[kind]
    name = getattr(inputs, kind)
    if name is None:
        there = known()
        if kind == "model" and len(there) > 1:
            there = [each for each in there if _takes(cls, names.model(each))] or there
        if len(there) != 1:
            listed = f"there are {', '.join(there)}" if there else f"there is none: belvedere add {kind}"
            raise BadSource(f"{asked} needs {kind}=…; {listed}")
        name = there[0]
    return get(name)


def _takes(cls: type[View], model: Model) -> bool:
    """Tell whether a view can be of a model: whether that has the tower or the numbers that it needs."""
    if issubclass(cls, TextTowerPass) or (issubclass(cls, OfWeights) and cls.side == "text"):
        with suppress(NoTextTower, UnsupportedTower):
            return bool(text_shape(model))
        return False
    if issubclass(cls, TowerPass | OfWeights):
        return model.tower is not None
    if issubclass(cls, TextRows):
        return bool(model.text)
    return cls.name() != "imported_contributions" or "contributions" in (model.imported or {})


def _checked(view: str, field: Field, value: Any) -> Any:
    """Refuse a value of another type; an integer is as good as a float, and becomes one."""
    if field.type in _NAMED:
        if not isinstance(value, str) and (value is not None or field.default is not None):
            raise BadSource(f"{view}'s {field.name} takes a registered name, not {value!r}")
        return value
    if field.type is MethodLabels:
        if not isinstance(value, str):
            raise BadSource(f"{view}'s {field.name} takes the name of a method, not {value!r}")
        return value
    if takes_heads(field):
        if not isinstance(value, str | None):
            raise BadSource(f"{view}'s {field.name} takes a condition on heads, not {value!r}")
        return value
    if get_origin(field.type) is Literal:
        if value not in get_args(field.type):
            raise UnknownName(f"value of {view}'s {field.name}", str(value), map(str, get_args(field.type)))
        return value
    if field.type is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, field.type) or isinstance(value, bool) != (field.type is bool):
        raise BadSource(f"{view}'s {field.name} takes {field.type.__name__}, not {value!r}")
    return value
