"""The view of the concepts that Network Dissection gives to each neuron."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...store import digest
from ...store.errors import BadSource
from ...store.grid import Grid
from ...store.views import Array, Input, Param, Parts, Read, TableView, Unit
from ..kinds import Derived, Made
from ..largest import Largest
from ..neurons.neuron_labels import COLUMNS, Label, rows
from ..neurons.neuron_state import NeuronState, State
from ..neurons.overlap import Overlap, positions, rank_of, within
from ..neurons.pooled import NEURONS
from .activation_maps import ActivationMaps
from .concept_masks import ConceptMasks

KEPT = 10
"""Concepts kept of each neuron."""
AT_ONCE = 32
"""Images whose maps and masks are read at once."""


@dataclass(frozen=True)
class NetworkDissectionLabels(Derived, TableView):
    """The concepts that are where a neuron is most active, by their masks (Network Dissection, 2017).

    `score` is the intersection over union of a concept's masks with the places at which the neuron's map,
    enlarged to the masks' size, exceeds `threshold`: the value that a share `quantile` of all positions of
    all images exceed (`compute/neurons/overlap.py`). Images without masks are left out. The published code
    calls a neuron interpretable above 0.04. A neuron that is dead or constant has a status and no label, one
    that meets no concept a label that is null. `m` concepts of each neuron are shown.
    """

    maps: Input[ActivationMaps]
    masks: Input[ConceptMasks]
    quantile: Param[float] = 0.005
    """Share of all positions at which a neuron counts as active."""
    m: Read[int] = 5
    """Concepts of each neuron, at most 10."""
    axis: ClassVar[str] = "neuron"
    columns: ClassVar[Mapping[str, str]] = {**COLUMNS, "threshold": "float64"}

    def __post_init__(self) -> None:
        """Refuse parameters that mean nothing."""
        if not 1 <= self.m <= KEPT:
            raise BadSource(f"m={self.m}: from 1 to {KEPT} concepts of each neuron are kept")
        if not 0 < self.quantile < 1:
            raise BadSource(f"quantile={self.quantile}: it is a share of all positions, between 0 and 1")

    @property
    def grid(self) -> Grid:
        """Blocks of 256 neurons."""
        return Grid(self.maps.shape[1], NEURONS)

    def constant(self) -> Mapping[str, str]:
        """Name the module and the method."""
        return {**self.maps.constant(), "method": "network_dissection"}

    def narrow(self, rows: pa.Table) -> pa.Table:
        """Show the first `m` concepts of each neuron."""
        return rows.filter(pc.field("rank") < self.m)

    def needs(self, index: int) -> Sequence[Unit]:
        """List the maps and the masks of all images."""
        return (*self.maps.units, *self.masks.units)

    def contents(self, start: int, stop: int) -> str:
        """Give the digest of the neurons and of all that the labels are made from."""
        return digest.of_sequence([f"{start}:{stop}", *(unit.key for unit in self.needs(0))])

    def derive(self, unit: Unit, parts: Parts) -> Made:
        """Find the thresholds in one pass over the maps, and the overlaps in a second."""
        neurons = slice(unit.start, unit.stop)
        images = np.flatnonzero(parts.array(self.masks, "known"))
        if not len(images):
            raise ArithmeticError(
                f"no image of {self.masks.images.name!r} has masks as {self.masks.model.name!r} sees it; "
                "reading concept_masks says why"
            )
        states, thresholds, seen = self._thresholds(neurons, images, parts)
        overlap = Overlap(thresholds, len(self.masks.concepts))
        for maps, planes in self._maps(neurons, images, parts):
            overlap.add(maps, planes)
        if not overlap.area.any():
            concepts = len(self.masks.concepts)
            raise ArithmeticError(
                f"in no mask of {self.masks.images.name!r} is any of its {concepts} concepts: are the masks' "
                "numbers those of the table that says what they stand for?"
            )
        iou = overlap.iou()
        labels = {
            neuron: list(self._labels(iou[neuron], float(thresholds[neuron])))
            for neuron, state in enumerate(states)
            if state == "ok"
        }
        module = self.maps.module
        found = rows(module, unit.start, "network_dissection", "iou", states, labels, ["threshold"])
        return Made(rows=found, facts={"images": seen, "concepts": len(self.masks.concepts)})

    def _thresholds(self, neurons: slice, images: Array, parts: Parts) -> tuple[list[State], Array, int]:
        """Give the states of some neurons, their thresholds, and how many images could be read."""
        count, (height, width) = neurons.stop - neurons.start, self.maps.shape[2:]
        state, seen = NeuronState(count, 1), 0
        largest = Largest(count, rank_of(self.quantile, len(images) * height * width))
        for maps, planes in self._maps(neurons, images, parts):
            shown = positions(maps)[within(planes, height, width).reshape(-1)]
            state.add(shown)
            largest.add(shown)
            seen += len(maps)
        known = state.found()
        # a map has no top images that could be tied
        states: list[State] = ["ok" if each == "tied" else each for each in known.states]
        return states, largest.values[:, rank_of(self.quantile, int(known.count[0])) - 1], seen

    def _maps(self, neurons: slice, images: Array, parts: Parts) -> Iterator[tuple[Array, Array]]:
        """Read maps and masks of images, some after others, without those that could not be read."""
        for start in range(0, len(images), AT_ONCE):
            some = images[start : start + AT_ONCE]
            maps = parts.array(self.maps, "map", (some, neurons)).astype(np.float32, copy=False)
            there = ~np.isnan(maps[:, 0, 0, 0])
            yield maps[there], parts.array(self.masks, "planes", (some[there], *[slice(None)] * 3))

    def _labels(self, iou: Array, threshold: float) -> Iterator[Label]:
        """Give the concepts that a neuron meets, the best first; of equal ones the first in the alphabet."""
        concepts = self.masks.concepts
        order = sorted(np.flatnonzero(iou).tolist(), key=lambda each: (-iou[each], concepts[each]))
        for each in order[:KEPT]:
            yield Label(concepts[each], float(iou[each]), {"threshold": threshold})
