"""The view of how much of a zero-shot classifier the texts of its heads stand for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ...store import digest
from ...store.errors import BadSelection, BadSource, NotAnnotated
from ...store.grid import Grid
from ...store.sets import Classes
from ...store.views import Array, Input, Param, Parts, TableView, Unit
from ..heads import scalars
from ..heads.moments import Doubles, augment, statistics
from ..heads.text_sets import Told, correct, logits, random_vectors, told
from ..heads.textspan import layer_textspan
from ..kinds import Derived, Made
from .chosen_contributions import ChosenContributions
from .class_embeddings import ClassEmbeddings
from .head_contributions import HeadContributions
from .head_descriptions import KEPT, HeadDescriptions
from .image_embeddings import ImageEmbeddings
from .text_embeddings import TextEmbeddings
from .tower_maps import TowerMaps

Counts = NDArray[np.int64]
DEFAULT_LAYERS = 4
"""The paper's number of late layers; a smaller tower is replaced as a whole."""


@dataclass(frozen=True)
class TextSetAccuracies(Derived, TableView):
    """Zero-shot accuracy where heads are put down to their first m texts, for every m up to 60.

    In the last `layers` layers each head is its mean and its projection on its first `m` texts, in all
    layers before its mean; everything else stays (Gandelsman et al. 2024, section 4.2;
    `compute/heads/text_sets.py`). `kept` says what is left of the late heads: `texts` of the text set,
    `random` for as many random vectors in place of its texts, from which TextSpan chooses as well; `heads`
    for the whole heads, an upper bound, and `model` where nothing is replaced. `distinct_texts` are in all
    heads together. Images whose label is no class are refused, images without a label left out.
    """

    descriptions: Input[HeadDescriptions]
    classes: Param[Classes]
    """The text set whose classes the images' labels are."""
    layers: Param[int] = DEFAULT_LAYERS
    """The last layers (with the default all, where there are fewer), whose heads are put down to texts; heads
    before them are to their means."""
    seed: Param[int] = 0
    """Chooses the random vectors."""
    version: ClassVar[int] = 2  # 1 kept the name of the classes
    axis: ClassVar[str] = "table"
    keys: ClassVar[tuple[str, ...]] = ("kept", "images")
    columns: ClassVar[Mapping[str, str]] = {
        "kept": "string",
        "m": "int32",
        "accuracy": "float64",
        "distinct_texts": "int32",
        "images": "int64",
    }

    def __post_init__(self) -> None:
        """Refuse to replace no layer or more than there are, and images whose labels are no classes."""
        if self.layers < 1:
            raise BadSource(f"text_set_accuracies's layers={self.layers}: at least the last 1 is replaced")
        count = self.contributions.model.shape.layers
        if self.layers > max(count, DEFAULT_LAYERS):
            raise BadSelection(f"layers={self.layers}: {self.contributions.model.name!r} has {count} layers")
        labels = [each for each in self.labels if each is not None]
        images, known = self.contributions.images.name, [*self.classes.classes]
        some = ", ".join(map(repr, known[:4])) + (", …" if len(known) > 4 else "")
        if not labels:
            raise NotAnnotated(
                images, "labels", f"add them with a class of {self.classes.name!r} each ({some})"
            )
        odd = sorted({each for each in labels if each not in self.classes.classes})
        if odd:
            raise NotAnnotated(
                images,
                f"classes of {self.classes.name!r} for {len(odd)} of their labels, as {odd[0]!r}",
                f"the {len(known)} classes are {some}",
            )

    @property
    def contributions(self) -> HeadContributions:
        """What the heads add to each image."""
        return self.descriptions.moments.contributions

    @cached_property
    def labels(self) -> list[str | None]:
        """The images' labels."""
        return [each or None for each in self.contributions.images.entries["label"].to_pylist()]

    @cached_property
    def summed(self) -> ChosenContributions:
        """What all heads add together."""
        return ChosenContributions(self.contributions, None, self.descriptions.convention)

    @cached_property
    def embedded(self) -> ImageEmbeddings:
        """The whole embeddings."""
        return ImageEmbeddings(self.contributions.model, self.contributions.images)

    @cached_property
    def weights(self) -> ClassEmbeddings:
        """The classes as the model embeds them."""
        return ClassEmbeddings(TextEmbeddings(self.contributions.model, self.classes))

    @property
    def maps(self) -> TowerMaps:
        """The tower's constants."""
        return self.descriptions.maps

    @property
    def late(self) -> range:
        """The layers whose heads are replaced by texts."""
        count = self.contributions.model.shape.layers
        return range(max(0, count - self.layers), count)

    @property
    def grid(self) -> Grid:
        """One unit."""
        return Grid(1, 1)

    def constant(self) -> Mapping[str, str]:
        """Name the classes."""
        return {"classes": self.classes.name}

    def needs(self, index: int) -> Sequence[Unit]:
        """List contributions, their sums, moments, embeddings, descriptions and classes."""
        described = self.descriptions
        return (
            *(described.units[layer] for layer in self.late),
            *described.moments.units,
            *described.texts.units,
            *self.maps.units,
            *self.contributions.units,
            *self.summed.units,
            *self.embedded.units,
            *self.weights.units,
        )

    def contents(self, start: int, stop: int) -> str:
        """Give the digest of all that, and of the labels."""
        keys = (unit.key for unit in self.needs(0))
        return digest.of_sequence([*keys, *(each or "" for each in self.labels)])

    def derive(self, unit: Unit, parts: Parts) -> Made:
        """Classify all images block by block, with every number of texts."""
        classes = parts.array(self.weights, "embedding").astype(np.float64)
        picked = [self._picked(layer, parts) for layer in self.late]
        late = [
            self._late(layer, each, classes, parts) for layer, each in zip(self.late, picked, strict=True)
        ]
        every = range(self.contributions.model.shape.layers)
        task = _Task(classes, tuple(late), self._mean(every, parts), self._mean(self.late, parts))
        counted = [self._counted(block, task, parts) for block in self.contributions.units]
        hits, images = np.sum([each for each, _ in counted], axis=0), sum(count for _, count in counted)
        if not images:
            raise BadSelection(f"none of the labelled images of {self.contributions.images.name!r} was read")
        return Made(rows=self._rows(hits, images, picked), facts={"images": images})

    def _picked(self, layer: int, parts: Parts) -> tuple[_Picked, _Picked]:
        """Give each head's texts, and the random vectors in place of these."""
        described = self.descriptions
        found = described.embeddings(parts)
        rows = parts.rows(described.units[layer]).select(["head", "text_id"]).to_pylist()
        heads = range(self.contributions.model.shape.heads)
        mine = [[row["text_id"] for row in rows if row["head"] == head] for head in heads]
        drawn = parts.once(f"random {found.shape} {self.seed}", lambda: self._drawn(*found.shape))
        moments = described.moments_of(layer, parts)
        maps = self.maps.joint_maps(parts, layer, described.convention)
        picks = layer_textspan(moments, maps, drawn, m=KEPT, span=described.span)
        return _Picked.of(found, mine), _Picked.of(drawn, [each.text.tolist() for each in picks])

    def _drawn(self, count: int, joint: int) -> Doubles:
        return random_vectors(count, joint, int(digest.of_facts({"random vectors": self.seed})[:16], 16))

    def _late(self, layer: int, picked: Sequence[_Picked], classes: Doubles, parts: Parts) -> _Late:
        """Give what the texts, the random vectors and the whole heads of a layer tell of classes."""
        described = self.descriptions
        maps = self.maps.joint_maps(parts, layer, described.convention)
        moments = described.moments_of(layer, parts)
        texts, drawn = (
            told(
                moments,
                maps,
                each.vectors,
                classes,
                ranks=KEPT,
                span=described.span,
            )
            for each in picked
        )
        return _Late((texts, drawn), np.einsum("hjc,kj->hck", maps, classes, optimize=True))

    def _mean(self, layers: range, parts: Parts) -> Doubles:
        """Add up the mean contributions of all heads of some layers, "joint"."""
        total = np.zeros(self.contributions.model.shape.joint)
        for layer in layers:
            maps = self.maps.joint_maps(parts, layer, self.descriptions.convention)
            moments = self.descriptions.moments_of(layer, parts)
            for moments_lh, joint_map in zip(moments, maps, strict=True):
                total += joint_map @ statistics(moments_lh, joint_map.shape[1]).mean
        return total

    def _counted(self, block: Unit, task: _Task, parts: Parts) -> tuple[Counts, int]:
        """Count the right answers of one block of images: of texts, random vectors, heads and the model."""
        images = slice(block.start, block.stop)
        known = {name: place for place, name in enumerate(self.classes.classes)}
        truth = np.array([-1 if each is None else known[each] for each in self.labels[images]])
        found = scalars.read(self.contributions, parts, images)
        there = ~np.isnan(found.norm) & (truth >= 0)
        truth, some = truth[there], [each[there] for each in found]
        own = parts.array(self.embedded, "embedding", (images,))[there] @ task.classes.T
        summed = parts.array(self.summed, "vector", (images,))[there].astype(np.float64)
        base = own - (summed - task.mean) @ task.classes.T
        heads, along = base - task.late_mean @ task.classes.T, list[tuple[Doubles, Doubles]]()
        for layer, late in zip(self.late, task.late, strict=True):
            factor = parts.array(self.contributions, "factor", (images, slice(layer, layer + 1)))[there, 0]
            written = augment(factor, *some)[..., 1 : 1 + late.whole.shape[1]]
            heads += sum(each @ weights for each, weights in zip(written, late.whole, strict=True))
            along.append((late.told[0].along(written), late.told[1].along(written)))
        counts = [
            correct(each, truth)
            for place in (0, 1)
            for each in logits(
                base,
                np.concatenate([each[place] for each in along], axis=2),
                np.concatenate([each.told[place].classes for each in task.late], axis=1),
            )
        ]
        return np.array([*counts, correct(heads, truth), correct(own, truth)]), len(truth)

    def _rows(self, hits: Counts, images: int, picked: Sequence[tuple[_Picked, _Picked]]) -> dict[str, Any]:
        """Lay out the accuracies, those of texts and of random vectors by how many there are."""
        ranks = range(KEPT + 1)
        distinct = [
            len({text for layer in picked for mine in layer[place].heads for text in mine[:m]})
            for place in (0, 1)
            for m in ranks
        ]
        return {
            "kept": [*("texts",) * len(ranks), *("random",) * len(ranks), "heads", "model"],
            "m": [*ranks, *ranks, None, None],
            "accuracy": [int(each) / images for each in hits],
            "distinct_texts": [*distinct, None, None],
            "images": [images] * len(hits),
        }


@dataclass(frozen=True, slots=True)
class _Picked:
    """What TextSpan chose for the heads of a layer."""

    heads: list[list[int]]
    """The texts or vectors of each head, in order."""
    vectors: list[Doubles]
    """Their embeddings, "text joint" of each head: the pool itself may be large, and is let go."""

    @classmethod
    def of(cls, pool: Array, heads: list[list[int]]) -> _Picked:
        """Take those that were chosen out of a pool, "text joint"."""
        return cls(heads, [pool[mine].astype(np.float64) for mine in heads])


@dataclass(frozen=True, slots=True)
class _Late:
    """What the heads of one late layer tell of classes."""

    told: tuple[Told, Told]
    """By their texts, and by random vectors."""
    whole: Doubles
    """As they are, "head coordinate class"."""


@dataclass(frozen=True, slots=True)
class _Task:
    """What every block of images is classified with."""

    classes: Doubles
    """The classes, "class joint"."""
    late: tuple[_Late, ...]
    """The late layers."""
    mean: Doubles
    """The mean of what all heads add together, "joint"."""
    late_mean: Doubles
    """That of the late heads."""
