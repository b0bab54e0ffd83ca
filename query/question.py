"""A view as the question it answers: the names and parameters by which a store gives it again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..compute.heads.head_sets import HeadSet
from ..store import digest
from ..store.errors import NameTaken
from ..store.marker import Mode
from ..store.sets import Clip, Instrument, MethodLabels, Model, NamedTexts
from ..store.views import View
from .resolve import COLUMN_OF

if TYPE_CHECKING:
    from .lazy.array import LazyArray

_INPUTS = {column: kind for kind, column in COLUMN_OF.items()}
"""What `Store.view` calls the inputs, by the column that they are in a table."""


def inputs(view: View) -> dict[str, str]:
    """Give the registered names beneath a view, as `Store.view` takes them."""
    return {_INPUTS[column]: name for column, name in view.names.items()}


def parameters(view: View) -> dict[str, Any]:
    """Give the values of a view's parameters and of those beneath it, as `Store.view` takes them.

    Where several views have one of a name, the value is that of the view nearest to the top.
    """
    found: dict[str, Any] = {}
    for field in view.fields():
        value = getattr(view, field.name)
        if field.role != "input":
            named = isinstance(value, Clip | Instrument | MethodLabels | NamedTexts)
            found[field.name] = value.name if named else value
        elif isinstance(value, HeadSet):
            found[field.name] = value.condition
        elif isinstance(value, View):
            found = {**parameters(value), **found}
            if field.name in view.bound:
                found[view.bound[field.name]] = value.names[Model.column]
    return found


def identity(view: View) -> str:
    """Give the digest of all that a view's numbers follow from."""
    return digest.of_sequence(unit.key for unit in view.units)


def again(root: Path, mode: Mode, name: str, asked: dict[str, Any], known: str) -> LazyArray:
    """Open a store and ask it for a view again, as a process does that was handed one.

    Raises `NameTaken` where a name stands for something else by now.
    """
    from .store import Store

    array: LazyArray = Store(root, mode).view(name, **asked)
    if identity(array._view) != known:
        raise NameTaken(
            f"{array._view.title()} is not the view that was handed on: one of its names stands for "
            "something else now; ask the store for the view again"
        )
    return array
