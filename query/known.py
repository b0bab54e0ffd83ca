"""What a store's names stand for as one question sees them: each is read once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from ..compute.heads.head_sets import HeadSet
from ..compute.instruments import sources as instruments
from ..compute.neurons.judged import METHODS
from ..compute.views.neuron_activations import NeuronActivations
from ..store.errors import CannotJudge, NoTextTower, UnknownName
from ..store.registry import INSTRUMENTS, Registry
from ..store.sets import Clip, Instrument, Language, MethodLabels, Model, NamedTexts, Other
from ..store.views import View

if TYPE_CHECKING:
    from .engine import Engine
    from .sql.imported_methods import Imported

_IMPORT = "labels of others are taken in with belvedere import labels"
NamedKind = type[Clip | Instrument | NamedTexts]
"""What parameters that are registered names stand for."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """The registered names that a view is asked of; None where none was given."""

    model: str | None = None
    """A model's name."""
    images: str | None = None
    """An image set's name."""
    texts: str | None = None
    """A text set's name."""


class Names:
    """The names of one store."""

    def __init__(self, engine: Engine) -> None:
        registry: Registry = engine.folder.names
        self._engine = engine
        self.models, self.model = cache(registry.models), cache(registry.model)
        self.image_sets, self.image_set = cache(registry.image_sets), cache(registry.image_set)
        self.text_sets, self.text_set = cache(registry.text_sets), cache(registry.text_set)
        self._registry = registry
        self.built: dict[object, View] = {}
        """Views beneath others, by what they are asked for with."""
        self._listed: dict[NamedKind, list[str]] = {}
        self._found: dict[tuple[NamedKind, str], Clip | Instrument | NamedTexts] = {}

    def heads(self, condition: str, inputs: Inputs, model: Model) -> HeadSet:
        """Give the heads of a model that a condition chooses; see `query.names.chosen`.

        Roles and descriptions are those over the images that are asked about, and by the only text set, or
        the only one beside that which is asked about.
        """
        from .names.chosen import chosen

        images = inputs.images or (self.image_sets()[0] if len(self.image_sets()) == 1 else None)
        texts = self.text_sets()
        pools = [name for name in texts if name != inputs.texts] or texts
        return chosen(self._engine, condition, model, images, pools)

    @cached_property
    def imported(self) -> Imported:
        """What imports say of neurons."""
        return self._engine.imported.now()

    @cached_property
    def imported_methods(self) -> list[str]:
        """List the methods whose labels were imported."""
        if not self._engine.folder.imports.listed():
            return []
        return sorted({of.method for of in self.imported.labels})

    def method_labels(self, method: str, neurons: NeuronActivations) -> MethodLabels:
        """Give the labels that were imported of some neurons, by a method.

        Raises `UnknownName` where there are none by it, and `CannotJudge` where none is of these neurons.
        """
        from .sql.imported_methods import Of

        found = self.imported.labels.get(Of(neurons.model.name, neurons.module, method))
        if found is not None:
            return found
        if method not in self.imported_methods:
            raise UnknownName("method whose labels were imported", method, self.imported_methods, _IMPORT)
        of = [f"{each.module} of {each.model}" for each in self.imported.labels if each.method == method]
        lacking = f"labels by {method!r} were imported of {', '.join(of)}, and of no other neurons"
        raise CannotJudge(neurons.module, lacking, "name those neurons, or import labels of these")

    def check_methods(self, cls: type[View], params: Mapping[str, Any]) -> None:
        """Refuse a method that is none of ours, and whose labels were not imported: `UnknownName`."""
        for param in cls.picks.values():
            value = params.get(param)
            if value is not None and value not in METHODS.views and value not in self.imported_methods:
                known = dict.fromkeys((*METHODS.views, *self.imported_methods))
                raise UnknownName("method whose labels are judged", str(value), known, _IMPORT)

    def of(self, kind: NamedKind) -> list[str]:
        """List the names that a parameter of a kind can be: of language models, `rules` where none is."""
        if kind not in self._listed:
            self._listed[kind] = self._list(kind)
        return self._listed[kind]

    def _list(self, kind: NamedKind) -> list[str]:
        if issubclass(kind, Other):
            return [name for name in self.models() if self.model(name).tower is not None]
        if issubclass(kind, Clip):
            models = {name: self.model(name) for name in self.models()}
            return [name for name, model in models.items() if model.text and not model.imported]
        if issubclass(kind, NamedTexts):
            return self.text_sets()
        there = self._registry.names(INSTRUMENTS[kind])
        return there or ([instruments.RULES] if kind is Language else [])

    def every(self, kind: NamedKind) -> list[str]:
        """List all names that a parameter of a kind can be, `rules` among those of language models."""
        there = self.of(kind)
        return there if kind is not Language or instruments.RULES in there else [*there, instruments.RULES]

    def get(self, kind: NamedKind, name: str) -> Clip | Instrument | NamedTexts:
        """Give what a parameter of a kind stands for; `UnknownName` with the nearest name."""
        if (kind, name) not in self._found:
            self._found[kind, name] = self._find(kind, name)
        return self._found[kind, name]

    def _find(self, kind: NamedKind, name: str) -> Clip | Instrument | NamedTexts:
        if issubclass(kind, Clip):
            found = self._registry.clip(name)
            if not found.text and not issubclass(kind, Other):
                able = ", ".join(self.of(kind)) or "none yet: belvedere add model"
                hint = f", and is to compare them with pictures here; models that do: {able}"
                raise NoTextTower(name, found.source, hint)
            return found
        if issubclass(kind, NamedTexts):
            return self._registry.named_texts(kind, name)
        if kind is Language and name == instruments.RULES and not self._registry.has("languages", name):
            return instruments.rules()
        return self._registry.instrument(kind, name)


def imported_methods(view: View) -> list[str]:
    """List the methods of imported labels that a view, or one beneath it, is made from."""
    own = [each.name for each in view.params().values() if isinstance(each, MethodLabels)]
    beneath = (imported_methods(each) for each in view.inputs().values() if isinstance(each, View))
    return list(dict.fromkeys(own + [name for names in beneath for name in names]))


@cache
def of_methods(cls: type[View]) -> tuple[str, ...]:
    """List the parameters of a view that can be methods whose labels were imported."""
    own = (field.name for field in cls.fields() if field.type is MethodLabels)
    return (*cls.picks.values(), *own)
