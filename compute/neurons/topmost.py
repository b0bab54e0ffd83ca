"""Tables of what activates each neuron of a module most: images, or texts."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...store.errors import BadSource
from ...store.grid import Grid
from ...store.views import AXIS_COLUMNS, Parts, TableView, Unit
from ..kinds import Derived, Made
from ..topk import TopK
from .pooled import NEURONS, Pooled

KEPT = 100
"""Rows kept of each neuron."""


class Topmost(Derived, TableView):
    """The inputs that activate each neuron most, from rank 0 down; of equal ones the first."""

    activations: Pooled
    k: int
    axis: ClassVar[str] = "neuron"

    def __post_init__(self) -> None:
        """Refuse more rows than are kept."""
        if not 1 <= self.k <= KEPT:
            inputs = f"{self.activations.axis}s"
            raise BadSource(f"k={self.k}: from 1 to {KEPT} {inputs} of each neuron are kept")

    @property
    def grid(self) -> Grid:
        """Blocks of 256 neurons."""
        return Grid(self.activations.shape[1], NEURONS)

    def constant(self) -> Mapping[str, str]:
        """Name the module."""
        return self.activations.constant()

    def narrow(self, rows: pa.Table) -> pa.Table:
        """Show the first `k` rows of each neuron."""
        return rows.filter(pc.field("rank") < self.k)

    @abstractmethod
    def best(self, parts: Parts, neurons: slice) -> TopK:
        """Find what is largest for some neurons; rows of what is found are numbers of inputs."""

    def derive(self, unit: Unit, parts: Parts) -> Made:
        """Write down what is largest for a block of neurons."""
        neuron, rank, activation, place = self.best(parts, slice(unit.start, unit.stop)).found()
        return Made(
            rows={
                "module": [self.activations.module] * len(neuron),
                "neuron": (neuron + unit.start).astype(np.int32),
                "rank": rank.astype(np.int32),
                AXIS_COLUMNS[self.activations.axis]: place,
                "activation": activation.astype(np.float32),
            }
        )
