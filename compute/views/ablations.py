"""The view of how well images are classified with some components of their embeddings ablated."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from textwrap import shorten
from typing import Any, ClassVar, get_args

import numpy as np

from ...store import digest
from ...store.errors import BadSelection, BadSource, NotAnnotated
from ...store.grid import Grid
from ...store.views import Array, Input, Param, Parts, TableView, Unit
from ..heads import conventions, scalars
from ..heads.ablating import Block, Bools, Components, Mode, predictions, random_sets
from ..heads.accuracies import Cells
from ..heads.conventions import Convention
from ..heads.head_sets import Heads, HeadSet, heads_of
from ..kinds import Derived, Made
from .class_embeddings import ClassEmbeddings
from .class_token_contributions import ClassTokenContributions
from .head_contributions import HeadContributions
from .image_embeddings import ImageEmbeddings
from .mlp_contributions import MlpContributions
from .tower_maps import TowerMaps

NONE, HEADS, RANDOM, MLPS, CLASS_TOKEN = "none", "heads", "random", "mlps", "class token"
MOST_DRAWS = 10_000
"""So many sets drawn at random tell the smallest share that anybody asks about; each one takes time."""
AT_ONCE = 64
"""Images whose contributions are multiplied out at a time."""


@dataclass(frozen=True)
class Ablations(Derived, TableView):
    """How many images the classes of a text set are told rightly for, with components of them ablated.

    With `heads`, a condition: for nothing ablated (`components` is "none"), for these heads ("heads") and for
    as many drawn at random ("random", by `draw`). Without one, the battery of Gandelsman et al. (2024,
    section 3.2): "mlps", "class token" (its attention to itself), both, and all heads of layers 0 to l.
    Images have their class as `label` and perhaps a `grp`; the worst of the groups (label, grp) is named.
    """

    classes: Input[ClassEmbeddings]
    embeddings: Input[ImageEmbeddings]
    contributions: Input[HeadContributions]
    mlps: Input[MlpContributions]
    class_token: Input[ClassTokenContributions]
    heads: Input[Heads] = None
    """Which heads: a condition on roles, descriptions and places, or a declared table; else the battery."""
    mode: Param[Mode] = "mean"
    """What stands in a component's place: its mean over the images, nothing, or its mean over their class."""
    draws: Param[int] = 10
    """Sets of as many heads that are drawn at random, from all heads of the tower; at most 10,000."""
    ablate_mlps: Param[bool] = False
    """Whether the MLPs are ablated as well, wherever heads are."""
    convention: Param[Convention] = "own"
    """How ln_post's mean and the biases are shared out; under `clip_prs` the entry is one of the MLPs."""
    axis: ClassVar[str] = "table"
    columns: ClassVar[Mapping[str, str]] = {
        "heads": "string",
        "components": "string",
        "draw": "int32",
        "head_count": "int32",
        "mode": "string",
        "metric": "string",
        "label": "string",
        "grp": "string",
        "value": "float64",
        "images": "int64",
    }

    def __post_init__(self) -> None:
        """Refuse images without a class among the classes, or some without a group: `NotAnnotated`."""
        if not 0 <= self.draws <= MOST_DRAWS:
            raise BadSource(f"draws={self.draws}: it is a number of sets from 0 to {MOST_DRAWS:,}")
        if self.ablate_mlps and self.heads is None:
            raise BadSource("ablate_mlps goes with heads=…; without heads the MLPs are ablated in any case")
        _ = self.cells

    @classmethod
    def choices(cls) -> Mapping[str, Sequence[str]]:
        """Give the modes, which a column tells apart."""
        return {"mode": get_args(Mode)}

    @cached_property
    def recipe(self) -> dict[str, Any]:
        """All that identifies it: draws only where heads are drawn."""
        found = super().recipe
        if self.heads is not None:
            return found
        parameters = {name: each for name, each in found["parameters"].items() if name != "draws"}
        return {**found, "parameters": parameters}

    @cached_property
    def cells(self) -> Cells:
        """The images by class and group."""
        images, known = self.embeddings.images, list(self.classes.classes)
        labels: list[Any] = images.entries["label"].to_pylist()
        groups: list[Any] = images.entries["grp"].to_pylist()
        if strange := [each for each in labels if each not in self.classes.classes]:
            raise NotAnnotated(images.name, "class among the classes", self._unlike(strange, known))
        lacking = groups.count(None)
        if 0 < lacking < len(groups):
            hint = f"{lacking} of {len(groups)} have none; give all of them one, or none"
            raise NotAnnotated(images.name, "group for each image", hint)
        return Cells.of(labels, None if lacking else groups, known)

    def _unlike(self, strange: Sequence[str | None], known: Sequence[str]) -> str:
        """Say which labels are no classes, some of each."""
        kinds = ["no label" if each is None else repr(each) for each in dict.fromkeys(strange)]
        return (
            f"{len(strange)} of {len(self.embeddings.images)} have other labels ({_some(kinds)}) than the "
            f"classes of {self.classes.embeddings.texts.name!r} ({_some([*map(repr, known)])}); take texts "
            "whose categories are the labels, or a set of the images that have such a label, chosen by SQL"
        )

    @property
    def grid(self) -> Grid:
        """One unit."""
        return Grid(1, 1)

    @property
    def maps(self) -> TowerMaps:
        """The tower's constants."""
        return self.contributions.maps

    def constant(self) -> Mapping[str, str]:
        """Name the condition, and what stands in a component's place."""
        return {**({"heads": self.heads.condition} if self.heads else {}), "mode": self.mode}

    def needs(self, index: int) -> Sequence[Unit]:
        """List the classes, all images' embeddings, and the contributions of what is ablated."""
        found = [*self.classes.units, *self.embeddings.units, *self.contributions.units, *self.maps.units]
        if self.heads is not None:
            found += self.heads.units
        if self.heads is None or self.ablate_mlps:
            found += self.mlps.units
        return [*found, *(self.class_token.units if self.heads is None else ())]

    def contents(self, start: int, stop: int) -> str:
        """Give the digest of what it is made from: units, classes, labels and groups."""
        entries = self.embeddings.images.entries
        words = (each or "" for column in ("label", "grp") for each in entries[column].to_pylist())
        return digest.of_sequence([*(unit.key for unit in self.needs(0)), *self.classes.classes, *words])

    def derive(self, unit: Unit, parts: Parts) -> Made:
        """Classify all images with each set of components ablated."""
        classes = parts.array(self.classes, "embedding")
        plan = self._chosen(self.heads, parts, classes) if self.heads else self._battery(parts, classes)
        truth = np.empty(len(self.embeddings.images), np.intp)
        for number, images in enumerate(self.cells.classes.values()):
            truth[images] = number
        found, there = predictions(plan.components, plan.sets, truth, self.mode)
        if not there.any():
            raise BadSelection(f"none of the images {self.embeddings.images.name!r} could be read")
        facts = {"images": int(there.sum()), "unread": int((~there).sum())}
        return Made(rows=self._rows(plan, found == truth, there), facts=facts)

    def _rows(self, plan: _Plan, right: Array, there: Array) -> dict[str, list[Any]]:
        rows: dict[str, list[Any]] = {name: [] for name in self.columns}
        condition = self.heads.condition if self.heads else None
        for (name, draw, count), each in zip(plan.names, right, strict=True):
            for found in self.cells.accuracies(each, there):
                what = (condition, name, draw, count, self.mode)
                values = (found.metric, found.label, found.grp, found.value, found.images)
                for column, value in zip(self.columns, (*what, *values), strict=True):
                    rows[column].append(value)
        return rows

    def _chosen(self, heads: HeadSet, parts: Parts, classes: Array) -> _Plan:
        """Ablate the heads of the condition, and random sets of as many."""
        shape = self.contributions.model.shape
        every = shape.layers * shape.heads
        chosen = heads_of(heads, shape, parts)
        if len(chosen) == every:
            raise BadSelection(
                f"{heads.condition!r} chooses all {every} heads: nothing is left to tell images "
                "apart by but MLPs; choose fewer"
            )
        sets = self.sets(chosen)
        names: list[tuple[str, int | None, int]] = [(NONE, None, 0), (HEADS, None, len(chosen))]
        names += [(RANDOM, draw, len(chosen)) for draw in range(self.draws)]
        used = np.flatnonzero(sets.any(axis=0))
        maps = [
            each
            for layer in range(shape.layers)
            for each in self.maps.joint_maps(parts, layer, self.convention)
        ]
        to_logits = [(maps[head].T @ classes.T).astype(np.float32) for head in used]
        sets = sets[:, used]
        if self.ablate_mlps:
            to_logits.append(classes.T)
            alone = np.arange(len(used) + 1) == len(used)
            with_mlps = np.hstack([sets, np.arange(len(sets))[:, None] > 0])
            sets = np.vstack([with_mlps, alone])
            beside = [(f"{MLPS} + {name}", draw, count) for name, draw, count in names[1:]]
            names = [names[0], *beside, (MLPS, None, 0)]
        read = self._reading(parts, lambda images: self._of_heads(parts, images, used))
        components = Components(len(self.embeddings.images), read, to_logits, classes)
        return _Plan(components, sets, names)

    def sets(self, heads: Sequence[tuple[int, int]]) -> Bools:
        """Say which heads are ablated: none, those that are chosen, and each set at random, "set head"."""
        shape = self.contributions.model.shape
        every = shape.layers * shape.heads
        seed = int(digest.of_sequence([str(shape.layers), str(shape.heads), str(len(heads))])[:15], 16)
        chosen = np.zeros((2, every), bool)
        chosen[1, [layer * shape.heads + head for layer, head in heads]] = True
        return np.vstack([chosen, random_sets(every, len(heads), self.draws, seed)])

    def _battery(self, parts: Parts, classes: Array) -> _Plan:
        """Ablate MLPs, what the class token attends to of itself, and layer after layer."""
        layers = self.contributions.model.shape.layers
        names = [NONE, MLPS, CLASS_TOKEN, f"{MLPS} + {CLASS_TOKEN}"]
        names += [f"layers 0-{layer}" for layer in range(layers)]
        heads = self.contributions.model.shape.heads
        sets = np.zeros((len(names), 2 + layers), bool)
        sets[[1, 3], 0] = sets[[2, 3], 1] = True
        sets[4:, 2:] = np.tri(layers, dtype=bool)
        counts = [0, 0, 0, 0, *(heads * (layer + 1) for layer in range(layers))]
        read = self._reading(parts, lambda images: self._of_layers(parts, images))
        components = Components(len(self.embeddings.images), read, [classes.T] * (2 + layers), classes)
        return _Plan(
            components, sets, [(name, None, count) for name, count in zip(names, counts, strict=True)]
        )

    def _reading(self, parts: Parts, coordinates: Callable[[slice], list[Array]]) -> Callable[[slice], Block]:
        return lambda images: Block(parts.array(self.embeddings, "embedding", (images,)), coordinates(images))

    def _of_heads(self, parts: Parts, images: slice, used: Array) -> list[Array]:
        """Read the coordinates s̃ of some heads, and with `ablate_mlps` what the MLPs add."""
        layer, head = np.divmod(used, self.contributions.shape[2])
        first = int(layer.min())
        span = slice(
            first, int(layer.max()) + 1
        )  # a slice is read fifteen times faster than a list of layers
        factor = parts.array(self.contributions, "factor", (images, span))
        sigma, mu, norm = scalars.read(self.contributions, parts, images)
        scale = 1 / (sigma * norm)
        width = factor.shape[-1]
        extra = 3 if self.convention == "clip_prs" else 0
        found = np.empty((len(used), len(factor), width + extra), np.float32)
        np.multiply(
            factor[:, layer - first, head].swapaxes(0, 1),
            scale[:, None],
            out=found[..., :width],
        )
        if extra:
            found[..., width:] = np.stack([scale, mu * scale, 1 / norm], axis=1)
        return [*found, *([self._of_mlps(parts, images)] if self.ablate_mlps else [])]

    def _of_mlps(self, parts: Parts, images: slice) -> Array:
        """Sum what all MLPs add, and under `clip_prs` the entry, "image joint"."""
        view = replace(self.mlps, convention=self.convention)
        whole = slice(None)
        found: Array = view.show(parts, (images, whole, whole)).sum(axis=1)
        if self.convention == "clip_prs":
            scale = scalars.read(self.contributions, parts, images)
            found += conventions.residual(*scale, self.maps.constants(parts), self.convention)[:, 0]
        return found

    def _of_layers(self, parts: Parts, images: slice) -> list[Array]:
        """Sum what MLPs, the class token's attention to itself, and each layer's heads add, "image joint"."""
        token = replace(self.class_token, convention=self.convention)
        heads = replace(self.contributions, convention=self.convention)
        class_token = self._summed(token, parts, images).sum(axis=1)
        layers = self._summed(heads, parts, images).swapaxes(0, 1)
        return [self._of_mlps(parts, images), class_token, *layers]

    def _summed(
        self, view: HeadContributions | ClassTokenContributions, parts: Parts, images: slice
    ) -> Array:
        """Sum what the heads of each layer add, "image layer joint"."""
        whole = (slice(None),) * 3
        starts = range(images.start, images.stop, AT_ONCE)
        cut = (slice(start, min(start + AT_ONCE, images.stop)) for start in starts)
        return np.concatenate([view.show(parts, (some, *whole)).sum(axis=2) for some in cut])


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is ablated."""

    components: Components
    """What can be."""
    sets: Array
    """Which set has which component, "set component"."""
    names: Sequence[tuple[str, int | None, int]]
    """Of each set its name, its number among those drawn at random, and how many heads it has."""


def _some(words: Sequence[str]) -> str:
    first = (shorten(each, 60, placeholder=" …") for each in words[:4])
    return ", ".join([*first, *["…"] * (len(words) > 4)])
