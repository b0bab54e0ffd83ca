"""The view of the formulas over classes that INVERT gives to each neuron."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
import pyarrow.compute as pc

from ...store import digest
from ...store.errors import BadSource, NotAnnotated
from ...store.grid import Grid
from ...store.sets import ImageSet
from ...store.views import Array, Input, Param, Parts, TableView, Unit
from ..kinds import Derived, Made
from ..neurons.formulas import Classes, classes_of, search
from ..neurons.neuron_labels import COLUMNS, Label, rows
from ..neurons.neuron_state import NeuronState
from ..neurons.pooled import NEURONS
from .neuron_activations import NeuronActivations

KINDS = (("label", "label"), ("group", "grp"))
"""The kinds of classes, and the columns of an image set in which they stand."""


@dataclass(frozen=True)
class InvertLabels(Derived, TableView):
    """The formulas over classes, such as "star AND NOT night", that a neuron tells best (INVERT, 2023).

    Classes are the labels and the groups of the images; images without one are left out. `score` is the AUROC
    with which the neuron's activations tell for which images the formula holds, `length` its atoms,
    `positives` these images (`compute/neurons/formulas.py`). Rank 0 is the best of all lengths; there are up
    to `beam`. A neuron that is dead or constant has a status and no label; an ok one has none where no
    formula holds for `least` images. Ties among activations are no trouble here: AUROC counts them half.
    """

    activations: Input[NeuronActivations]
    length: Param[int] = 3
    """Atoms of the longest formula."""
    beam: Param[int] = 5
    """Formulas that are kept at each length, and shown of each neuron."""
    least: Param[int] = 10
    """A formula holds for at least so many images: some neuron tells any few of them well, by chance."""
    most: Param[float] = 0.5
    """A formula holds for at most this share of the images."""
    axis: ClassVar[str] = "neuron"
    columns: ClassVar[Mapping[str, str]] = {**COLUMNS, "length": "int32", "positives": "int64"}

    def __post_init__(self) -> None:
        """Refuse a search for nothing, and images that are in no classes: `NotAnnotated`."""
        if self.length < 1 or self.beam < 1:
            raise BadSource(f"length={self.length}, beam={self.beam}: both start at 1")
        if self.least < 1 or not 0 < self.most <= 1:
            raise BadSource(
                f"least={self.least}, most={self.most}: least is a number of images from 1, "
                "most a share of them, above 0 and at most 1"
            )
        if not any(_kinds(self.activations.images, column) > 1 for _, column in KINDS):
            hint = "add them again with labels='folder', or from a table with a column label or group"
            raise NotAnnotated(self.activations.images.name, "classes to tell apart", hint)

    @cached_property
    def _told(self) -> list[tuple[str, list[str | None]]]:
        """The words that the images have, by kind."""
        entries = self.activations.images.entries
        return [(kind, entries[column].to_pylist()) for kind, column in KINDS]

    @cached_property
    def _classes(self) -> tuple[Classes, Array]:
        return classes_of(self._told)

    @property
    def grid(self) -> Grid:
        """Blocks of 256 neurons."""
        return Grid(self.activations.shape[1], NEURONS)

    def constant(self) -> Mapping[str, str]:
        """Name the module and the method."""
        return {**self.activations.constant(), "method": "invert"}

    def needs(self, index: int) -> Sequence[Unit]:
        """List the activations of all images."""
        return self.activations.units

    def contents(self, start: int, stop: int) -> str:
        """Give the digest of the neurons, of all activations and of the images' classes."""
        keys = (unit.key for unit in self.activations.units)
        return digest.of_sequence([f"{start}:{stop}", self._digest, *keys])

    @cached_property
    def _digest(self) -> str:
        """The digest of the words that the images have."""
        return digest.of_sequence(f"{kind} {word or ''}" for kind, words in self._told for word in words)

    def derive(self, unit: Unit, parts: Parts) -> Made:
        """Search the formulas of a block of neurons."""
        classes, there = self._classes
        neurons = slice(unit.start, unit.stop)
        values = parts.array(self.activations, "activation", (there, neurons))
        read = ~np.isnan(values[:, 0])
        values, classes = values[read], Classes(classes.names, classes.codes[:, read])
        state = NeuronState(unit.stop - unit.start, 1)
        state.add(values)
        states = ["ok" if each == "tied" else each for each in state.found().states]
        labels = {
            neuron: self._labels(values[:, neuron], classes)
            for neuron, each in enumerate(states)
            if each == "ok"
        }
        found = rows(
            self.activations.module,
            unit.start,
            "invert",
            "auroc",
            states,
            labels,
            ["length", "positives"],
        )
        return Made(rows=found, facts={"images": len(values), "classes": len(classes.names)})

    def _labels(self, values: Array, classes: Classes) -> list[Label]:
        found = search(values, classes, length=self.length, beam=self.beam, least=self.least, most=self.most)
        return [
            Label(each.text, each.auroc, {"length": each.length, "positives": int(mask.sum())})
            for each, mask in found
        ]


def _kinds(images: ImageSet, column: str) -> int:
    """Count the words that occur in a column."""
    return int(pc.count_distinct(images.entries[column], mode="only_valid").as_py())
