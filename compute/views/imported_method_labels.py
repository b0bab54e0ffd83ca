"""The view of the best labels that imports give the neurons of a module, by a method."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

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

    One row for each neuron of which an import says something: its first label that is none of a refusal, a
    blank or a repetition, by rank and then by annotator, and the import that it is from. Where there is none,
    the first row's status says why. All labels stand in the table `imported_labels`.
    """

    activations: Input[NeuronActivations]
    """The neurons; nothing of them is computed for it."""
    method: Param[MethodLabels]
    """The method as it was called in `belvedere import labels --method`."""
    axis: ClassVar[str] = "neuron"
    columns: ClassVar[Mapping[str, str]] = {**COLUMNS, "import_id": "string"}

    @property
    def grid(self) -> Grid:
        """Blocks of 256 neurons."""
        return Grid(self.activations.shape[1], NEURONS)

    def constant(self) -> Mapping[str, str]:
        """Name the module and the method."""
        return {**self.activations.constant(), "method": self.method.name}

    def contents(self, start: int, stop: int) -> str:
        """Give the digest of the neurons and of what imports say of them."""
        said = (digest.of_facts(row) for row in self._said(start, stop))
        return digest.of_sequence([f"{start}:{stop}", *said])

    def derive(self, unit: Unit, parts: Parts) -> Made:
        """Write down what imports say of a block of neurons."""
        said = self._said(unit.start, unit.stop)
        same = self.constant()
        return Made(rows={name: [row.get(name, same.get(name)) for row in said] for name in self.columns})

    def _said(self, start: int, stop: int) -> list[Mapping[str, Any]]:
        return [row for row in self.method.rows if start <= row["neuron"] < stop]
