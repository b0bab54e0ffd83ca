"""The view that a name stands for, whether it is a view's own or was declared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..store.errors import BadSource, UnknownName
from ..store.views import View
from .engine import Engine
from .known import Inputs, Names
from .resolve import read, resolve
from .sql.declared import Declaration, find


def named(engine: Engine, name: str, inputs: Inputs, params: Mapping[str, Any]) -> View:
    """Give the view of a name; see `Store.view`.

    Raises `UnknownName` and `BadSource` as `resolve` does, and `BadSource` for an input or a parameter that
    a declaration has already settled.
    """
    found = find(engine.folder, name)
    given = {kind: value for kind in ("model", "images", "texts") if (value := getattr(inputs, kind))}
    if found is None:
        return engine.same(_resolved(engine, name, inputs, params))
    if found.sql is not None:
        from .sql.defined import defined

        if given or params:
            raise BadSource(f"{name} was declared in SQL and has no inputs or parameters: {found.sql}")
        return defined(engine, name, found.sql)
    _refuse_settled(found, {**given, **params})
    whole = Inputs(**{**given, **found.inputs})
    return engine.same(_resolved(engine, str(found.view), whole, {**params, **found.parameters}))


def values_of(engine: Engine, name: str, texts: Mapping[str, str]) -> dict[str, Any]:
    """Read parameters of what a name stands for from text, each as its type asks for."""
    found = find(engine.folder, name) if texts else None
    return read(found.view if found is not None and found.view else name, texts) if texts else {}


def _resolved(engine: Engine, name: str, inputs: Inputs, params: Mapping[str, Any]) -> View:
    try:
        return resolve(Names(engine), name, inputs, params)
    except UnknownName as error:
        declared = engine.folder.names.names("declared")
        if error.kind != "view" or not declared:
            raise
        raise UnknownName("view", name, [*error.known, *declared], "belvedere views lists all") from None


def _refuse_settled(found: Declaration, given: Mapping[str, Any]) -> None:
    settled = {**found.inputs, **found.parameters}
    for name, value in given.items():
        if name in settled and settled[name] != value:
            raise BadSource(
                f"{found.name} was declared with {name}={settled[name]!r}, "
                f"and cannot be asked for with {value!r}"
            )
