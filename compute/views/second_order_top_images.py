"""The view of the images on which each neuron's second-order effect is largest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ...store import digest
from ...store.errors import BadSource, NoLaterHead
from ...store.grid import Grid
from ...store.sets import ImageSet, Model
from ...store.views import Input, Parts, Read, TableView, Unit
from ..heads import second_order
from ..kinds import Derived, Made
from ..models import mlp_layers
from ..topk import TopK
from .second_order_effects import NEURONS, SecondOrderEffects
from .tower_maps import TowerMaps

KEPT = 100
"""Images kept of each neuron, as many as the paper finds directions from."""


@dataclass(frozen=True)
class SecondOrderTopImages(Derived, TableView):
    """The images on which a neuron's second-order effect is longest, from rank 0 down; of equals the first.

    `score` is the effect's length, beside an embedding of length 1 (Gandelsman et al. 2025, section 4).
    Images that could not be read, and effects of length zero, are left out. Layers are those of MLPs, all
    but the last, which no head stands after.
    """

    model: Input[Model]
    images: Input[ImageSet]
    k: Read[int] = 20
    """Images of each neuron, at most 100."""
    axis: ClassVar[str] = "layer"
    columns: ClassVar[Mapping[str, str]] = {
        "module": "string",
        "layer": "int32",
        "neuron": "int32",
        "rank": "int32",
        "image_id": "int64",
        "score": "float64",
    }

    def __post_init__(self) -> None:
        """Refuse more than is kept, and a tower without a head after an MLP."""
        if not 1 <= self.k <= KEPT:
            raise BadSource(f"k={self.k}: from 1 to {KEPT} images of each neuron are kept")
        if self.model.shape.layers < 2:
            raise NoLaterHead(f"no head stands after an MLP of {self.model.name!r}, which has one layer")

    @property
    def grid(self) -> Grid:
        """One layer a unit, all but the last."""
        return Grid(self.model.shape.layers - 1, 1)

    def narrow(self, rows: pa.Table) -> pa.Table:
        """Show the first `k` images of each neuron."""
        return rows.filter(pc.field("rank") < self.k)

    def effects(self, layer: int) -> SecondOrderEffects:
        """Give the effects of a layer's neurons."""
        return SecondOrderEffects(self.model, self.images, layer)

    def needs(self, index: int) -> Sequence[Unit]:
        """List the layer's effects on all images, and the maps that they are multiplied with."""
        effects = self.effects(index)
        return (*effects.units, *effects.maps.units, *TowerMaps(self.model).units)

    def contents(self, start: int, stop: int) -> str:
        """Give the digest of the layer and of what it is made from."""
        return digest.of_sequence([str(start), *(unit.key for unit in self.needs(start))])

    def derive(self, unit: Unit, parts: Parts) -> Made:
        """Measure the effects of one block of neurons after another while the images stream by."""
        effects = self.effects(unit.start)
        count = effects.shape[1]
        found = [
            self._best(effects, slice(first, min(first + NEURONS, count)), parts)
            for first in range(0, count, NEURONS)
        ]
        neuron, rank, score, image = (np.concatenate(each) for each in zip(*found, strict=True))
        return Made(
            rows={
                "module": [mlp_layers.module(effects.model, unit.start)] * len(neuron),
                "layer": np.full(len(neuron), unit.start, np.int32),
                "neuron": neuron.astype(np.int32),
                "rank": rank.astype(np.int32),
                "image_id": image,
                "score": score,
            }
        )

    def _best(self, effects: SecondOrderEffects, neurons: slice, parts: Parts) -> tuple[np.ndarray, ...]:
        best = TopK(neurons.stop - neurons.start, KEPT)
        head_map, value_map = effects.read_maps(parts, neurons)
        for unit in effects.units:
            factor, scale = effects.factors(parts, slice(unit.start, unit.stop), neurons)
            norms = second_order.norms(factor, scale, head_map, value_map)
            norms[norms == 0] = np.nan  # no effect, which TopK takes for no candidate
            best.add(norms, np.arange(unit.start, unit.stop))
        neuron, rank, score, image = best.found()
        return neuron + neurons.start, rank, score, image
