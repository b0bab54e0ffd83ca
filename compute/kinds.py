"""The ways in which units come to be: a pass over images, over texts, from weights, from units."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from ..store import digest
from ..store.errors import NoTextTower, UnsupportedTower
from ..store.grid import Grid
from ..store.sets import ImageSet, Model, TextSet, TowerShape
from ..store.views import Array, ArrayView, Parts, Unit, View
from .towers.text_support import text_shape
from .work import Known, Work

if TYPE_CHECKING:
    from torch import Tensor

    from ..store.memos import Memos
    from .models.loaded import Loaded
    from .running.aids import Aids
    from .towers.trace import Constants, Trace

BLOCK = 256
"""Images of one unit of a pass over images: one forward pass feeds all views that need it."""
TEXT_BLOCK = 1024
"""Texts of one unit of a pass over texts."""


@dataclass(frozen=True, slots=True)
class Made:
    """What was computed for a unit, before it is kept."""

    arrays: Mapping[str, Array] = field(default_factory=dict)
    """Of an array view: an array for each member."""
    rows: Mapping[str, Any] = field(default_factory=dict)
    """Of a table view: a sequence for each column."""
    absent: Mapping[int, str] = field(default_factory=dict)
    """Rows, counted from the unit's first, that could not be read, with the reason."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What was measured on the way."""


class ImagePass(ArrayView):
    """An array with a row for each image, made while the images go through the model."""

    axis: ClassVar[str] = "image"
    block: ClassVar[int] = BLOCK
    """Images of one unit."""
    model: Model
    images: ImageSet

    @property
    def grid(self) -> Grid:
        """Blocks of images: 256, unless a view says otherwise."""
        return Grid(len(self.images), self.block)

    def contents(self, start: int, stop: int) -> str:
        """Give the digest of the images' bytes; an import's rows follow from their place as well."""
        found = self.images.contents(start, stop)
        return digest.of_sequence([str(start), found]) if self.model.imported else found


class TowerPass(ImagePass):
    """An array made from the trace of a vision tower that is decomposed."""

    tokens: ClassVar[bool] = False
    """Whether it needs what each head adds from each token, and not only the sum over tokens."""
    patches: ClassVar[bool] = False
    """Whether it needs what all heads together add from each patch."""
    class_token: ClassVar[bool] = False
    """Whether it needs what the class token itself adds."""

    def __post_init__(self) -> None:
        """Refuse a model without such a tower: `UnsupportedTower`."""
        _ = self.tower

    @property
    def tower(self) -> TowerShape:
        """The sizes of the vision tower."""
        return self.model.shape

    @property
    def neurons(self) -> tuple[int, ...]:
        """The layers of whose neurons it needs what later heads read."""
        return ()

    @abstractmethod
    def collect(self, trace: Trace) -> Mapping[str, Array]:
        """Take what is kept from the trace of one batch: an array for each member, one row an image."""


def refuse_convention(model: Model, convention: str) -> None:
    """Refuse `clip_prs` where no one LayerNorm ends the stream; raises `UnsupportedTower`."""
    if convention == "clip_prs" and not model.shape.shares_norm:
        raise UnsupportedTower(
            model.name,
            "convention 'clip_prs' splits the mean and the bias of one last LayerNorm over heads and MLPs, "
            "and this tower has none that could be split: ask for convention 'own'",
            wanted="terms by convention 'clip_prs'",
        )


def refuse_unless_plain(model: Model, what: str) -> None:
    """Refuse what is known for open_clip's own class-token towers alone; raises `UnsupportedTower`."""
    if not model.shape.is_plain:
        raise UnsupportedTower(
            model.name,
            "they are known for open_clip's own vision transformers with a class token alone",
            wanted=what,
        )


class ModulePass(ImagePass):
    """An array made from what one module of the model gives."""

    module: str

    @abstractmethod
    def collect(self, output: Tensor) -> Mapping[str, Array]:
        """Take what is kept from the module's output of one batch: an array for each member."""


class TextRows(ArrayView):
    """An array with a row for each text, made while the texts go through the model."""

    axis: ClassVar[str] = "text"
    side: ClassVar[Literal["image", "text"]] = "text"
    block: ClassVar[int] = TEXT_BLOCK
    """Texts of one unit."""
    model: Model
    texts: TextSet

    @property
    def grid(self) -> Grid:
        """Blocks of 1,024 texts, unless a view says otherwise."""
        return Grid(len(self.texts), self.block)

    def contents(self, start: int, stop: int) -> str:
        """Give the digest of the texts."""
        return self.texts.contents(start, stop)


class _Embedded(TextRows):
    """An array for which texts go through the model as they do where it embeds them."""

    def __post_init__(self) -> None:
        """Refuse a model that embeds no texts: `NoTextTower`."""
        if not self.model.text:
            raise NoTextTower(self.model.name, self.model.source)


class TextPass(_Embedded):
    """An array made from what the model's text tower gives for each text."""

    @abstractmethod
    def collect(self, features: Array) -> Mapping[str, Array]:
        """Take what is kept from the text tower's outputs, "text joint", not normalised."""


class TextTowerPass(TextRows):
    """An array made from the trace of a text tower that is decomposed."""

    block: ClassVar[int] = BLOCK
    tokens: ClassVar[bool] = False
    """Whether it needs what each token adds, and not only their sum."""

    def __post_init__(self) -> None:
        """Refuse a model without such a tower: `NoTextTower`, `UnsupportedTower`."""
        _ = self.tower

    @property
    def tower(self) -> TowerShape:
        """The sizes of the text tower."""
        return text_shape(self.model)

    @abstractmethod
    def collect(self, trace: Trace) -> Mapping[str, Array]:
        """Take what is kept from the trace of one batch: an array for each member, one row a text."""


class TextModulePass(_Embedded):
    """An array made from what one module of the model gives for each text."""

    block: ClassVar[int] = BLOCK
    module: str

    @abstractmethod
    def collect(self, output: Tensor, lengths: Tensor) -> Mapping[str, Array]:
        """Take what is kept from the module's output of one batch, whose texts have so many tokens."""


class OfWeights(ArrayView):
    """An array that follows from the weights of one tower alone, that of its `side`: vision, or text."""

    axis: ClassVar[str] = "layer"
    model: Model

    def __post_init__(self) -> None:
        """Refuse a model without such a tower: `UnsupportedTower`."""
        _ = self.tower

    @property
    def tower(self) -> TowerShape:
        """The sizes of the tower."""
        return self.model.shape if self.side == "image" else text_shape(self.model)

    def contents(self, start: int, stop: int) -> str:
        """Nothing but the weights, which the recipe has."""
        return ""

    @abstractmethod
    def take(self, loaded: Loaded) -> Mapping[str, Array]:
        """Take what is kept from the model in memory."""


class OfTower(OfWeights):
    """An array that follows from a tower's fixed maps."""

    def take(self, loaded: Loaded) -> Mapping[str, Array]:
        """Take what is kept from the tower's fixed maps; `ArithmeticError` where they are not finite."""
        found = self.extract(loaded.constants if self.side == "image" else loaded.text_constants)
        if not all(np.isfinite(each).all() for each in found.values()):
            raise ArithmeticError(
                f"the weights of {self.model.name!r} make maps that are not finite; nothing was kept"
            )
        return found

    @abstractmethod
    def extract(self, constants: Constants) -> Mapping[str, Array]:
        """Take what is kept from the tower's fixed maps."""


class Assisted(View):
    """A table that is made from units of other views with the help of models and instruments.

    Several of its units are made in one go, so that a model runs in batches and is loaded once; what is made
    of one must not depend on which others are made with it.
    """

    together: ClassVar[int] = 16
    """At most so many units are made in one go."""

    @abstractmethod
    def assist(self, units: Sequence[Unit], parts: Parts, aids: Aids) -> Mapping[str, Made | Exception]:
        """Make some units, by their keys; of one that cannot be made though others can, give the error.

        Where an error is raised, each unit is tried again on its own: what was paid for and not kept is paid
        for again then.
        """

    def named(self, rows: Sequence[Mapping[str, Any]], memos: Memos) -> Iterable[str]:
        """Give the paths of the memos and pictures that rows of it are from: who takes these takes those."""
        del rows, memos
        return ()

    def forecast(self, units: Sequence[Unit], known: Known) -> Work:
        """Say what these units will take: exactly where what they are made from is there, else at most."""
        del units, known
        return Work()


class Derived(View):
    """An array or a table that is made from units of other views, without a model."""

    @abstractmethod
    def derive(self, unit: Unit, parts: Parts) -> Made:
        """Make one unit from what is kept."""
