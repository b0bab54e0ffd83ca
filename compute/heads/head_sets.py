"""Sets of heads that a condition chooses, as other views are made from them."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Collection, Iterator, Mapping
from typing import Any, ClassVar

from ...store.errors import BadSelection
from ...store.sets import Model, TowerShape
from ...store.views import Field, Parts, TableView

NAME = "chosen_heads"
"""What a set of heads is called where views are named."""
_PLACE = re.compile(r"\s*(\d+)\.(\d+)\s*")


def one_head(named: str, model: Model) -> tuple[int, int] | None:
    """Read one head of a model, `LAYER.HEAD`; None for what is written otherwise, as a condition is.

    Raises `BadSelection` for a head that the model does not have.
    """
    found = _PLACE.fullmatch(named)
    if found is None:
        return None
    layer, head = int(found[1]), int(found[2])
    if layer >= model.shape.layers or head >= model.shape.heads:
        raise BadSelection(f"no head {layer}.{head} in {model.name!r}; {there(model.shape)}")
    return layer, head


def is_place(named: str) -> bool:
    """Tell whether one head is named, `LAYER.HEAD`, whether or not a tower has it."""
    return _PLACE.fullmatch(named) is not None


def there(shape: TowerShape) -> str:
    """Say which heads a tower has."""
    return f"there are {shape.layers} layers of {shape.heads} heads, counted from 0"


class HeadSet(TableView):
    """A table with a row for each head that a condition chooses: layer, head.

    A view with a field `heads: Input[Heads] = None` is asked for with `heads="role = 'background'"`, which is
    a condition on the columns of `head_roles`, `head_descriptions` and `texts`, with one head, `LAYER.HEAD`,
    or with the name of a declared view that has the columns layer and head. None stands for no condition.
    Its one unit is a need of such a view.
    """

    axis: ClassVar[str] = "table"
    keys: ClassVar[Collection[str]] = ("layer", "head")
    columns: ClassVar[Mapping[str, str]] = {"layer": "int32", "head": "int32"}

    @property
    @abstractmethod
    def condition(self) -> str:
        """The condition, as it was asked."""

    def read(self, parts: Parts) -> list[tuple[int, int]]:
        """List the layer and head of each, in order."""
        return [(int(row["layer"]), int(row["head"])) for row in parts.rows(self.units[0]).to_pylist()]


Heads = HeadSet | None
"""The type of a field that takes a condition on heads."""


def heads_of(heads: Heads, shape: TowerShape, parts: Parts) -> list[tuple[int, int]]:
    """List the layer and head of each that is chosen, in order: of all where there is no condition.

    Raises `BadSelection` for a head that the tower does not have, as a declared table could name one.
    """
    if heads is None:
        return [(layer, head) for layer in range(shape.layers) for head in range(shape.heads)]
    found = heads.read(parts)
    for layer, head in found:
        if not (0 <= layer < shape.layers and 0 <= head < shape.heads):
            raise BadSelection(f"{heads.condition!r} has head {layer}.{head}; {there(shape)}")
    return found


def takes_heads(field: Field) -> bool:
    """Tell whether a field takes a condition on heads."""
    return bool(field.type == Heads)


def conditions(recipe: Mapping[str, Any]) -> Iterator[str]:
    """Give the conditions on heads in a recipe and in those beneath it."""
    if recipe.get("view") == NAME:
        yield str(recipe["parameters"]["asked"])
    for each in recipe.get("inputs", {}).values():
        yield from conditions(each)
