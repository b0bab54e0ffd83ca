"""What a view is: a record of its inputs and parameters, and the units into which it is cut."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache, cached_property
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    Literal,
    TypeVar,
    get_args,
    get_origin,
    get_type_hints,
)

import numpy as np

from . import digest
from .grid import Grid
from .sets import Classes, Clip, ImageSet, Instrument, MethodLabels, Model, NamedTexts, TextSet

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")

Input = Annotated[T, "input"]
"""A field that says what the view is made from: a `Model`, `ImageSet`, `TextSet` or another view."""
Param = Annotated[T, "param"]
"""A field that changes what is kept: it is part of the identity."""
Read = Annotated[T, "read"]
"""A field that is chosen on each read: what is kept serves every value of it."""

Source = Model | ImageSet | TextSet
AXIS_COLUMNS = {"image": "image_id", "text": "text_id"}
"""The columns in which positions along an axis stand, where they are not called as the axis is."""
Axis = slice | np.ndarray[Any, np.dtype[np.intp]]
"""What selects along one axis, its bounds checked: a slice with a positive step, or positions."""
Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class Field:
    """One declared field of a view."""

    name: str
    """Its name, as `store.view(…)` takes it."""
    role: Literal["input", "param", "read"]
    """What the field is for."""
    type: Any
    """Its type, without the role."""
    default: Any
    """Its value where none is given; `dataclasses.MISSING` where one has to be."""


@dataclass(frozen=True, slots=True)
class Member:
    """One stored array of a view's units; the first axis is the one that is cut into units."""

    name: str
    """Its name within the unit."""
    dims: tuple[str, ...]
    """The names of its axes."""
    shape: tuple[int, ...]
    """Its shape over all units."""
    dtype: str
    """Its numpy data type, little-endian."""
    inner: tuple[int, ...]
    """The shape of one inner chunk, the smallest part that is read."""


@dataclass(frozen=True, slots=True, eq=False)
class Unit:
    """The smallest part of a view that is computed, kept, verified and collected: all or nothing."""

    view: View
    """The view that it is a part of."""
    index: int
    """Its place in the view's grid."""
    start: int
    """The first position that it covers along the view's first axis."""
    stop: int
    """The position after its last."""
    key: str
    """The digest of all that its contents follow from."""

    def __str__(self) -> str:
        return f"{self.view.name()}/{self.key[:12]}[{self.view.axis} {self.start}:{self.stop}]"

    @property
    def needs(self) -> Sequence[Unit]:
        """The units of other views that it is made from."""
        return self.view.needs(self.index)


class View(ABC):
    """An array or a table that is computed when somebody first looks, unit by unit, and kept.

    A subclass is a frozen dataclass in a file of its own. Its fields are annotated `Input`, `Param` or
    `Read`; raise `version` whenever its numbers would change.
    """

    version: ClassVar[int] = 1
    axis: ClassVar[str]
    """The axis that is cut into units."""
    side: ClassVar[Literal["image", "text"]] = "image"
    """Which side of a model its identity depends on, where it has a model among its inputs."""
    by_masks: ClassVar[bool] = False
    """Whether it reads the masks with which its images were added."""
    bound: ClassVar[Mapping[str, str]] = {}
    """Of inputs that are views, by field: the parameter that gives the model of that view.

    `{"pictures": "clip"}` takes the view in the field `pictures` of the model that is given as `clip`, and
    not of the one that is given as `model`.
    """
    textless: ClassVar[Collection[str]] = ()
    """Of the parameters in `bound`, those whose model need not embed texts: only its tower is asked for."""
    columns: ClassVar[Mapping[str, str]] = {}
    """The columns that SQL shows after the inputs: name to Arrow type; none where SQL does not show it.

    Of an array these are its axes (`image_id` for the axis image, `text_id` for text), in any order, and
    last the one for its numbers, a list where the array's last axis has no column.
    """
    picks: ClassVar[Mapping[str, str]] = {}
    """Of inputs that can be one of several views, by field: the parameter that says by which method."""
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Values of parameters, its own and those of views beneath it, that are asked for together by a name."""
    precious: ClassVar[bool] = False
    """Whether its units are paid for or made by hand: they are never collected without being named."""

    @classmethod
    def name(cls) -> str:
        """Give the view's name: the class's, in snake case."""
        return re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()

    @classmethod
    def picked(cls, params: Mapping[str, Any]) -> type[View]:
        """Give the class for some parameters, where one of them picks a view that it is made from."""
        return cls

    @classmethod
    def choices(cls) -> Mapping[str, Sequence[str]]:
        """Give the values of the parameters that pick a view, by name."""
        return {}

    @classmethod
    def summary(cls) -> str:
        """Give the first line of the class's docstring."""
        return (cls.__doc__ or "").strip().splitlines()[0]

    @classmethod
    def fields(cls) -> tuple[Field, ...]:
        """List the fields in the order of their declaration."""
        return _declared(cls)

    @classmethod
    def tree(cls) -> Iterator[type[View]]:
        """List the class, and those of the views beneath."""
        yield cls
        for field in cls.fields():
            if field.role == "input" and isinstance(field.type, type) and issubclass(field.type, View):
                yield from field.type.tree()

    def _values(self, role: str) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in self.fields() if field.role == role}

    def inputs(self) -> dict[str, View | Source]:
        """Give what it is made from, by field; one that it can be without, and is, is left out."""
        return {field: each for field, each in self._values("input").items() if each is not None}

    def params(self) -> dict[str, Any]:
        """Give the parameters that are part of its identity."""
        return self._values("param")

    @property
    def axis_column(self) -> str | None:
        """The column that says where along the axis of its units a row is; None where there is none."""
        known = (AXIS_COLUMNS.get(self.axis, self.axis), self.axis)
        return next((column for column in known if column in self.columns), None)

    def constant(self) -> Mapping[str, str]:
        """Give what tells it apart beside its inputs, by name; a table has columns of these names."""
        return {}

    def among(self) -> Mapping[str, Sequence[str]]:
        """Give columns that have one of some texts in each row of its table."""
        return {}

    def companions(self) -> tuple[View, ...]:
        """List the views that a read combines with what is kept here; they are filled along with it."""
        return ()

    @cached_property
    def names(self) -> dict[str, str]:
        """The registered names beneath it, as its table columns call them: model, image_set, text_set."""
        return {source.column: source.name for source in self.sources()}

    @cached_property
    def instruments(self) -> dict[str, str]:
        """The names of instruments, models for comparing and classes, here and beneath, by parameter."""
        found: dict[str, str] = {}
        for field, each in self.inputs().items():
            if isinstance(each, View):
                found |= each.instruments
                if field in self.bound:
                    found[self.bound[field]] = next(
                        source.name for source in each.sources() if isinstance(source, Model)
                    )
        called = (Clip, Instrument, Classes)
        return found | {name: each.name for name, each in self.params().items() if isinstance(each, called)}

    @cached_property
    def called(self) -> dict[str, str]:
        """The names that a reader of its rows puts beside them, by column: all but those that rows have."""
        beside = {name: each for name, each in self.instruments.items() if name not in self.columns}
        return {**self.names, **beside}

    @cached_property
    def pinned(self) -> dict[str, str]:
        """What is the same in all rows of its table, by column."""
        return {**self.called, **self.constant()}

    @cached_property
    def blank(self) -> frozenset[str]:
        """Columns that are null in all rows of its table: those of inputs that it can be without, and is."""
        return self._without() & self.columns.keys()

    def _without(self) -> frozenset[str]:
        inputs = self._values("input")
        beneath = [each._without() for each in inputs.values() if isinstance(each, View)]
        return frozenset(name for name, each in inputs.items() if each is None).union(*beneath)

    def sources(self) -> list[Source]:
        """List the model, image set and text set beneath it, those that there are, in this order."""
        found: dict[str, Source] = {}
        for field, each in self.inputs().items():
            beneath = each.sources() if isinstance(each, View) else [each]
            if field in self.bound:  # its model is a parameter here
                beneath = [source for source in beneath if not isinstance(source, Model)]
            found |= {source.column: source for source in beneath}
        return [found[column] for column in ("model", "image_set", "text_set") if column in found]

    @cached_property
    def recipe(self) -> dict[str, Any]:
        """All that identifies it, but for the images, texts and upstream units that a unit covers.

        A view of another package has the package's name in it: another package may bring one of its name.
        """
        beneath: dict[str, Any] = {}
        for field, each in self.inputs().items():
            if isinstance(each, View):
                beneath[field] = each.recipe
            elif isinstance(each, Model):
                beneath[field] = each.identity(self.side)
        params = {name: _identified(value) for name, value in self.params().items()}
        own = {"view": self.name(), "version": self.version, "parameters": params, "inputs": beneath}
        package = type(self).__module__.partition(".")[0]
        return own if package == __name__.partition(".")[0] else {**own, "package": package}

    @cached_property
    def recipe_key(self) -> str:
        """The digest of the recipe."""
        return digest.key_of(self.recipe)

    @property
    @abstractmethod
    def grid(self) -> Grid:
        """How the first axis is cut into units."""

    @abstractmethod
    def contents(self, start: int, stop: int) -> str:
        """Give the digest of the ordered contents that a unit covers."""

    def needs(self, index: int) -> Sequence[Unit]:
        """List the units of other views that one unit is made from."""
        return ()

    @cached_property
    def units(self) -> tuple[Unit, ...]:
        """The units, in the order of the grid."""
        return tuple(self._unit(i, start, stop) for i, (start, stop) in enumerate(self.grid))

    def covering(self, start: int, stop: int) -> Sequence[Unit]:
        """List the units in which the positions along its axis from `start` up to `stop` lie, in order."""
        return [self.units[index] for index in self.grid.touched(range(start, stop))]

    def _unit(self, index: int, start: int, stop: int) -> Unit:
        key = digest.of_sequence([self.recipe_key, self.contents(start, stop)])[:32]
        return Unit(self, index, start, stop, key)

    def title(self) -> str:
        """Name the view with its inputs: `head_moments[b16 × photos]`."""
        return f"{self.name()}[{' × '.join([*self.names.values(), *self.constant().values()])}]"


class Parts(ABC):
    """Reads what is kept; given to a view that makes something of it. Missing units raise."""

    @abstractmethod
    def array(self, view: ArrayView, member: str, selection: Sequence[Axis] = ()) -> Array:
        """Read a stored array along each axis on its own; axes that are not given are taken whole."""

    @abstractmethod
    def whole(self, unit: Unit, member: str) -> Array:
        """Read all of one unit's stored array: the same numbers as `array` gives, some four times as fast."""

    @abstractmethod
    def rows(self, unit: Unit) -> pa.Table:
        """Read the stored rows of a table's unit."""

    @abstractmethod
    def once(self, key: str, make: Callable[[], T]) -> T:
        """Remember what is small and often needed, such as a tower's fixed maps."""


Coord = tuple[str, ...] | Callable[[Parts], Array]
"""What stands beside an array: the names along an axis, or what reads numbers that are kept with it."""


class ArrayView(View):
    """A view whose units are small Zarr arrays."""

    @property
    @abstractmethod
    def dims(self) -> tuple[str, ...]:
        """The names of the axes that a reader sees."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """The shape that a reader sees."""

    @property
    def shard(self) -> int:
        """How many positions of its stored arrays' first axis a full unit has."""
        return self.grid.block

    @property
    def shown(self) -> np.dtype[Any]:
        """The data type that a reader sees."""
        return np.dtype("float32")

    def coords(self) -> Mapping[str, Coord]:
        """Give what stands beside what a reader sees, by name; nothing, unless a view says otherwise."""
        return {}

    @abstractmethod
    def members(self) -> tuple[Member, ...]:
        """List the arrays that are kept."""

    @abstractmethod
    def show(self, parts: Parts, selection: tuple[Axis, ...]) -> Array:
        """Make what a reader sees from what is kept; the selection has an entry for every axis."""


class TableView(View):
    """A view whose units are Parquet parts."""

    keys: ClassVar[Collection[str]] = ("image_id", "text_id", "layer", "head", "neuron", "module")
    """Columns that say what a row is about, and are never null."""
    beside: ClassVar[Mapping[str, str]] = {}
    """Columns that are kept for views made from this one, and not shown."""

    def narrow(self, rows: pa.Table) -> pa.Table:
        """Leave out kept rows that the view's `Read` fields do not ask for."""
        return rows


def _identified(value: Any) -> Any:
    """Give a parameter's value as a recipe has it: of a model or an instrument all that identifies it."""
    if isinstance(value, Clip | NamedTexts):
        return value.facts
    if isinstance(value, MethodLabels):  # what they say is among the contents of units
        return value.name
    return {**value.facts, "precision": value.precision} if isinstance(value, Instrument) else value


@cache
def _declared(cls: type[View]) -> tuple[Field, ...]:
    hints = get_type_hints(cls, include_extras=True)
    found = []
    for field in fields(cls):  # type: ignore[arg-type]  # every concrete view is a dataclass
        hint = hints[field.name]
        if get_origin(hint) is not Annotated:
            raise TypeError(f"{cls.__name__}.{field.name} must be annotated Input, Param or Read")
        inner, role = get_args(hint)
        found.append(Field(field.name, role, inner, field.default))
    return tuple(found)
