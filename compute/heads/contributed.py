"""What heads, MLPs and all else of a tower add to an embedding, whether images or texts go through it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ...store.sets import ImageSet, Model, TextSet, TowerShape
from ...store.views import Array, Axis, Coord, Member, Parts
from ..kinds import TextTowerPass, TowerPass, refuse_convention
from ..towers.text_support import has_projection_bias, text_shape
from ..views.text_tower_maps import TextTowerMaps
from ..views.tower_maps import TowerMaps
from . import conventions, scalars
from .mapped import Mapped

if TYPE_CHECKING:
    from ..towers.trace import Trace


class Contributed(Mapped):
    """An array of contributions with a row for each image, or for each text."""

    block: ClassVar[int]

    @property
    @abstractmethod
    def last(self) -> Sequence[str]:
        """The names of what is added after the last norm's scaling."""

    @property
    @abstractmethod
    def count(self) -> int:
        """How many rows there are."""

    @abstractmethod
    def collect(self, trace: Trace) -> Mapping[str, Array]:
        """Take what is kept from the trace of one batch: an array for each member, one row each."""

    def scalars(self) -> Member:
        """Declare the three scalars of each row."""
        return scalars.member(self.count, self.block, self.axis)


class Heads(Contributed):
    """What each head adds, kept as factors: head_dim numbers for each row, layer and head."""

    dtype: Any

    @property
    def dims(self) -> tuple[str, ...]:
        """Image (or text), layer, head, joint."""
        return (self.axis, "layer", "head", "joint")

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of these axes."""
        size = self.tower
        return (self.count, size.layers, size.heads, size.joint)

    def members(self) -> tuple[Member, ...]:
        """The factors, and the scalars of each row."""
        rows, layers, heads, _ = self.shape
        width = self.tower.head_dim
        dims = (self.axis, "layer", "head", "head_dim")
        factor = Member("factor", dims, (rows, layers, heads, width), self.dtype, (64, 1, heads, width))
        return (factor, self.scalars())

    def collect(self, trace: Trace) -> Mapping[str, Array]:
        """Take the factors and the scalars."""
        return {"factor": trace.factor, "scalars": scalars.collect(trace)}

    def show(self, parts: Parts, selection: tuple[Axis, ...]) -> Array:
        """Multiply the factors out."""
        rows, layers, heads, joint = selection
        factor = parts.array(self, "factor", (rows, layers, heads))
        constants = self.maps.constants(parts).select(layers, heads, joint)
        return conventions.heads(factor, *scalars.read(self, parts, rows), constants, self.convention)


class Tokens(Contributed):
    """What each head adds from each token, kept as factors of the pooled row's query."""

    dtype: Any
    tokens: ClassVar[bool] = True

    @property
    def dims(self) -> tuple[str, ...]:
        """Image (or text), layer, head, token, joint."""
        return (self.axis, "layer", "head", "token", "joint")

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of these axes."""
        size = self.tower
        return (self.count, size.layers, size.heads, size.tokens, size.joint)

    def members(self) -> tuple[Member, ...]:
        """The factors, and the scalars of each row."""
        rows, layers, heads, tokens, _ = self.shape
        width = self.tower.head_dim
        dims = (self.axis, "layer", "head", "token", "head_dim")
        shape = (rows, layers, heads, tokens, width)
        factor = Member("factor", dims, shape, self.dtype, (1, 1, heads, tokens, width))
        return (factor, self.scalars())

    def collect(self, trace: Trace) -> Mapping[str, Array]:
        """Take the token factors and the scalars."""
        if trace.token_factor is None:
            raise ValueError("the pass was run without token factors")
        return {"factor": trace.token_factor, "scalars": scalars.collect(trace)}

    def show(self, parts: Parts, selection: tuple[Axis, ...]) -> Array:
        """Multiply the factors out."""
        rows, layers, heads, tokens, joint = selection
        factor = parts.array(self, "factor", (rows, layers, heads, tokens))
        constants = self.maps.constants(parts).select(layers, heads, joint)
        scale = scalars.read(self, parts, rows)
        return np.asarray(conventions.tokens(factor, *scale, constants, self.convention))


class Mlps(Contributed):
    """What each MLP adds, kept projected to the joint space, with the mean of each MLP's output."""

    @property
    def dims(self) -> tuple[str, ...]:
        """Image (or text), layer, joint."""
        return (self.axis, "layer", "joint")

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of these axes."""
        return (self.count, self.tower.layers, self.tower.joint)

    def members(self) -> tuple[Member, ...]:
        """The projected outputs, their means, and the scalars of each row."""
        rows, layers, joint = self.shape
        return (
            Member("projected", self.dims, self.shape, "float32", (64, 1, joint)),
            Member("mean", (self.axis, "layer"), (rows, layers), "float32", (64, layers)),
            self.scalars(),
        )

    def collect(self, trace: Trace) -> Mapping[str, Array]:
        """Take the projected outputs, their means and the scalars."""
        return {"projected": trace.mlp, "mean": trace.mlp_mean, "scalars": scalars.collect(trace)}

    def show(self, parts: Parts, selection: tuple[Axis, ...]) -> Array:
        """Scale the outputs, and share out the mean and the bias."""
        rows, layers, joint = selection
        projected = parts.array(self, "projected", (rows, layers, joint))
        mean = parts.array(self, "mean", (rows, layers))
        constants = self.maps.constants(parts).select(layers, joint=joint)
        scale = scalars.read(self, parts, rows)
        return conventions.mlps(projected, mean, *scale, constants, self.convention)


class Residual(Contributed):
    """All that is neither a head nor an MLP, by name along the axis `term`."""

    @property
    def dims(self) -> tuple[str, ...]:
        """Image (or text), term, joint."""
        return (self.axis, "term", "joint")

    @property
    def terms(self) -> tuple[str, ...]:
        """The names along the axis `term`."""
        return conventions.residual_terms(self.tower, self.convention, self.last)

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of these axes."""
        return (self.count, len(self.terms), self.tower.joint)

    def coords(self) -> Mapping[str, Coord]:
        """The names of the terms."""
        return {"term": self.terms}

    def members(self) -> tuple[Member, ...]:
        """What enters the first block, projected, and its mean, other terms, and the scalars of each row.

        Of the first three those that are no constants at a row's scale.
        """
        rows, joint, kept = self.count, self.tower.joint, []
        if self.tower.varying:
            kept.append(Member("entry", (self.axis, "joint"), (rows, joint), "float32", (64, joint)))
            kept.append(Member("entry_mean", (self.axis,), (rows,), "float32", (64,)))
        if self._further:
            dims, shape = (self.axis, "further", "joint"), (rows, self._further, joint)
            kept.append(Member("rest", dims, shape, "float32", (64, self._further, joint)))
        return (*kept, self.scalars())

    def collect(self, trace: Trace) -> Mapping[str, Array]:
        """Take what entered and its mean, other terms, and the scalars."""
        found = {"entry": trace.entry, "entry_mean": trace.entry_mean, "rest": trace.rest}
        wanted = {name: value for name, value in found.items() if value is not None}
        return {**wanted, "scalars": scalars.collect(trace)}

    @property
    def _further(self) -> int:
        """How many terms after the embedding differ by row by more than its scale."""
        return len(self.tower.varying[1:])

    def show(self, parts: Parts, selection: tuple[Axis, ...]) -> Array:
        """Scale the constant directions, and what enters where that is none."""
        rows, terms, joint = selection
        constants = self.maps.constants(parts).select(joint=joint)
        scale = scalars.read(self, parts, rows)
        varying: list[Array] = []
        if self.tower.varying:
            varying = [parts.array(self, "entry", (rows, joint)), parts.array(self, "entry_mean", (rows,))]
        if self._further:
            varying.append(parts.array(self, "rest", (rows, slice(None), joint)))
        every = conventions.residual(*scale, constants, self.convention, *varying)
        return every[:, terms]


class OfImages(Contributed, TowerPass):
    """Contributions to the embeddings of images."""

    model: Model
    images: ImageSet

    def __post_init__(self) -> None:
        """Refuse a model without such a tower, or a convention that it has not: `UnsupportedTower`."""
        super().__post_init__()
        refuse_convention(self.model, self.convention)

    @property
    def last(self) -> Sequence[str]:
        """The bias of ln_post, and the projection's where it has one."""
        norm = ("ln_post_bias",) if self.tower.last_norm else ()
        return (*norm, *(("projection_bias",) if self.tower.projection_bias else ()))

    @property
    def tower(self) -> TowerShape:
        """The sizes of the vision tower."""
        return self.model.shape

    @property
    def count(self) -> int:
        """How many images there are."""
        return len(self.images)

    @property
    def maps(self) -> TowerMaps:
        """The vision tower's maps."""
        return TowerMaps(self.model)


class OfTexts(Contributed, TextTowerPass):
    """Contributions to the embeddings of texts."""

    model: Model
    texts: TextSet

    @property
    def tower(self) -> TowerShape:
        """The sizes of the text tower."""
        return text_shape(self.model)

    @property
    def last(self) -> Sequence[str]:
        """The bias of ln_final, and the projection's where it has one."""
        own = ("projection_bias",) if has_projection_bias(self.model) else ()
        return ("ln_final_bias", *own)

    @property
    def count(self) -> int:
        """How many texts there are."""
        return len(self.texts)

    @property
    def maps(self) -> TextTowerMaps:
        """The text tower's maps."""
        return TextTowerMaps(self.model)
