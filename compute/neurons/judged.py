"""Tables that judge the labels of a method; which method's, a parameter picks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from types import MappingProxyType
from typing import Any, ClassVar

from ...store.grid import Grid
from ...store.views import Field, Input, Param, Parts, TableView, Unit, View
from ..joined import JOINED
from ..views.activation_maps import ActivationMaps
from ..views.neuron_activations import NeuronActivations

METHODS = JOINED["neuron_labels"]
"""Where the views of labels stand, by method."""
IMPORTED = "imported_method_labels"
"""The view of labels that were imported, by whatever method."""
WIDEST = "clip_dissect"
"""The method whose labels need every input that those of any method need."""
COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        "module": "string",
        "neuron": "int32",
        "method": "string",
        "metric": "string",
        "value": "float64",
        "label": "string",
        "reference": "string",
        "n": "int64",
    }
)
"""The columns of every such table: name to Arrow type."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one metric says of one neuron's label."""

    neuron: int
    """The neuron."""
    metric: str
    """What was measured."""
    value: float | None
    """What it came to; None where it could not be measured."""
    label: str | None
    """The label; None where the neuron has none."""
    reference: str | None = None
    """What the label was compared with."""
    n: int | None = None
    """How many things the value is a mean over."""


@dataclass(frozen=True)
class Judged(TableView):
    """A table that says of the best label of each neuron, by one method, how good it is."""

    labels: Input[TableView]
    method: Param[str]
    """By which method the labels are that are judged: clip_dissect, or one whose labels were imported."""
    picks: ClassVar[Mapping[str, str]] = {"labels": "method"}
    taken: ClassVar[Mapping[str, str]] = {}
    """The names of the views that these parameters have picked, by field."""
    axis: ClassVar[str] = "neuron"
    columns: ClassVar[Mapping[str, str]] = COLUMNS

    @classmethod
    def picked(cls, params: Mapping[str, Any]) -> type[View]:
        """Give the class for the methods that are picked; one that is none of ours is taken for imported."""
        said = {field: str(params[param]) for field, param in cls.picks.items() if param in params}
        return _of(cls, tuple((field, METHODS.views.get(value, IMPORTED)) for field, value in said.items()))

    @classmethod
    def choices(cls) -> Mapping[str, Sequence[str]]:
        """Give the methods, for each parameter that picks one."""
        return {param: tuple(METHODS.views) for param in cls.picks.values()}

    @classmethod
    def fields(cls) -> tuple[Field, ...]:
        """List the fields; until views are picked, those of labels need all inputs that any may."""
        return _fields(cls, super().fields())

    @property
    def activations(self) -> NeuronActivations:
        """The activations of the neurons that are labelled."""
        found = _activations(self.labels)
        assert found is not None
        return found

    @property
    def grid(self) -> Grid:
        """The units of the labels."""
        return self.labels.grid

    def constant(self) -> Mapping[str, str]:
        """Name the module and the method."""
        return {"module": self.activations.module, "method": self.method}

    def needs(self, index: int) -> Sequence[Unit]:
        """List the unit of labels."""
        return (self.labels.units[index],)

    def labelled(self, start: int) -> Unit:
        """Give the unit of labels of the neurons from this one on."""
        return self.labels.units[start // self.grid.block]

    def rows(self, verdicts: Iterable[Verdict]) -> dict[str, list[Any]]:
        """Write verdicts down."""
        found: dict[str, list[Any]] = {name: [] for name in COLUMNS}
        same = self.constant()
        for each in verdicts:
            for name in COLUMNS:
                found[name].append(same[name] if name in same else getattr(each, name))
        return found


def best(units: Iterable[Unit], parts: Parts) -> dict[int, str | None]:
    """Give the best label of each neuron in some units of labels; None where it has none."""
    found: dict[int, str | None] = {}
    for unit in units:
        for row in parts.rows(unit).select(["neuron", "rank", "label"]).to_pylist():
            if row["rank"] == 0:
                found[row["neuron"]] = row["label"]
    return dict(sorted(found.items()))


@cache
def _fields(cls: type[Judged], declared: tuple[Field, ...]) -> tuple[Field, ...]:
    """Give the fields of a class the views that are picked, as their types."""
    from ..views import all_views

    names = {**dict.fromkeys(cls.picks, METHODS.views[WIDEST]), **cls.taken}
    return tuple(
        replace(each, type=all_views()[names[each.name]]) if each.name in names else each for each in declared
    )


@cache
def _of(cls: type[Judged], said: tuple[tuple[str, str], ...]) -> type[Judged]:
    """Make the class for some views of labels; it is called as the class it is made from."""
    if not said:
        return cls
    own = {"taken": dict(said), "__module__": cls.__module__, "__doc__": cls.__doc__}
    return type(cls.__name__, (cls,), own)


def _activations(view: View) -> NeuronActivations | None:
    """Find the activations beneath a view of labels; of maps, their means."""
    if isinstance(view, NeuronActivations):
        return view
    if isinstance(view, ActivationMaps):
        return NeuronActivations(view.model, view.images, view.module, channels=view.channels)
    found = (_activations(each) for each in view.inputs().values() if isinstance(each, View))
    return next((each for each in found if each is not None), None)
