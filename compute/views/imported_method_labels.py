"""The view of the best labels that imports give the neurons of a module, by a method."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa

from ...store import digest
from ...store.grid import Grid
from ...store.sets import MethodLabels
from ...store.views import Input, Param, Parts, TableView, Unit
from ..kinds import Derived, Made
from ..neurons.neuron_labels import COLUMNS
from ..neurons.pooled import NEURONS
from .neuron_activations import NeuronActivations


@dataclass(frozen=True)
class ImportedMethodLabels(Derived, TableView):
    """The best label of each neuron by a method whose labels were imported, as `label_evaluations` judges it.

    One row for each neuron of which an import says something: the first label that is none of a refusal, a
    blank or a repetition, the neuron's own before those of a group of neurons, then by rank, then by
    annotator. Where there is none, the status of its first one says why. All labels, with their imports,
    stand in the table `imported_labels`.
    """

    activations: Input[NeuronActivations]
    """The neurons; nothing of them is computed for it."""
    method: Param[MethodLabels]
    """The method as it was called in `belvedere import labels --method`."""
    axis: ClassVar[str] = "neuron"
    columns: ClassVar[Mapping[str, str]] = COLUMNS

    @property
    def grid(self) -> Grid:
        """Blocks of 256 neurons."""
        return Grid(self.activations.shape[1], NEURONS)

    def constant(self) -> Mapping[str, str]:
        """Name the module and the method."""
        return {**self.activations.constant(), "method": self.method.name}

    def contents(self, start: int, stop: int) -> str:
        """Give the digest of the neurons and of what imports say of them."""
        said = map(digest.of_facts, self._said(start, stop).to_pylist())
        return digest.of_sequence([f"{start}:{stop}", *said])

    def derive(self, unit: Unit, parts: Parts) -> Made:
        """Write down what imports say of a block of neurons."""
        said = self._said(unit.start, unit.stop).to_pydict()
        same = {name: [value] * len(said["neuron"]) for name, value in self.constant().items()}
        return Made(rows={name: said.get(name) or same.get(name, []) for name in self.columns})

    def _said(self, start: int, stop: int) -> pa.Table:
        first, last = np.searchsorted(self.method.rows["neuron"].to_numpy(), (start, stop))
        return self.method.rows.slice(first, last - first)
