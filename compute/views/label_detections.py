"""The view of how well neurons that are found by their labels tell the classes of images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from ...store import digest
from ...store.errors import CannotJudge
from ...store.grid import Grid
from ...store.sets import Clip
from ...store.views import Array, Param, Parts, Unit
from ..kinds import Assisted, Made
from ..neurons.judged import Judged, Verdict, best
from ..neurons.likeness import Likeness
from ..neurons.telling import auroc

if TYPE_CHECKING:
    from ..running.aids import Aids

_ENTRIES = {"label": "label", "group": "grp"}
"""The columns of an image set in which classes stand."""


@dataclass(frozen=True)
class LabelDetections(Assisted, Judged):
    """How well the neuron whose label is nearest to the name of a class tells it from the others.

    A row for each class, whose name is the `reference`: the AUROC of the neuron's activations, ties counted
    half, among the images that have a class. Where several neurons have the nearest label it is the mean of
    theirs; `n` counts them, and `neuron` is the first (Describe-and-Dissect, Bai et al. 2024, the use case of
    finding classifiers). Nearness is the cosine of the texts, as they are, by the `judge_clip` model; of
    labels that are equally near the first in the alphabet counts. Needs the labels of the whole layer.
    """

    judge_clip: Param[Clip]
    """The name of a registered model of images and texts; `clip` is the one that labels are made with."""
    classes: Param[Literal["label", "group"]] = "label"
    """Which classes of the images: their labels, or their groups."""
    version: ClassVar[int] = 2

    def __post_init__(self) -> None:
        """Refuse images that are not in several classes: `CannotJudge`."""
        if len(set(self._classes) - {None}) < 2:
            lacking = (
                f"the images {self.activations.images.name!r} are not in several classes by {self.classes}"
            )
            raise CannotJudge(
                self.activations.module,
                lacking,
                "add them again with labels='folder', or from a table with a column label or group",
            )

    @property
    def _classes(self) -> list[str | None]:
        found: list[str | None] = self.activations.images.entries[_ENTRIES[self.classes]].to_pylist()
        return [each or None for each in found]

    @property
    def grid(self) -> Grid:
        """All neurons in one unit."""
        return Grid(self.activations.shape[1], self.activations.shape[1])

    def among(self) -> Mapping[str, Sequence[str]]:
        """Name the metrics."""
        return {"metric": ("class_auroc",)}

    def needs(self, index: int) -> Sequence[Unit]:
        """List all labels and all activations."""
        return (*self.labels.units, *self.activations.units)

    def contents(self, start: int, stop: int) -> str:
        """Give the digest of all labels, of all activations and of the images' classes."""
        classes = digest.of_sequence(each or "" for each in self._classes)
        return digest.of_sequence([*(unit.key for unit in self.needs(0)), classes])

    def assist(self, units: Sequence[Unit], parts: Parts, aids: Aids) -> Mapping[str, Made]:
        """Find a neuron for each class, and see how well it tells the class."""
        labels = best(self.labels.units, parts)
        said: dict[str, list[int]] = {}
        for neuron, label in labels.items():
            if label is not None:
                said.setdefault(label, []).append(neuron)
        classes = sorted({each for each in self._classes if each})
        likeness = Likeness({*said, *classes}, self.judge_clip, aids)
        return {
            unit.key: Made(rows=self.rows(self._verdicts(classes, said, likeness, parts))) for unit in units
        }

    def _verdicts(
        self, classes: Sequence[str], said: Mapping[str, Sequence[int]], likeness: Likeness, parts: Parts
    ) -> Iterator[Verdict]:
        of = np.array([each or "" for each in self._classes])
        for name in classes:
            near = [
                (-cosine, label) for label in said if (cosine := likeness.cosine(label, name)) is not None
            ]
            if near:
                label = min(near)[1]
                neurons = np.array(said[label])
                values = parts.array(self.activations, "activation", (slice(None), neurons))
                there = (of != "") & ~np.isnan(values[:, 0])
                yield self._verdict(name, label, neurons.tolist(), values[there], of[there] == name)

    def _verdict(
        self, name: str, label: str, neurons: Sequence[int], values: Array, inside: Array
    ) -> Verdict:
        scores = [auroc(each[inside], each[~inside]) for each in values.T]
        known = [each for each in scores if each is not None]
        value = sum(known) / len(known) if known else None
        return Verdict(neurons[0], "class_auroc", value, label, name, len(neurons))
