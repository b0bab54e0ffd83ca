"""The view of the direction in which each neuron's second-order effects lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from ...store import digest
from ...store.grid import Grid
from ...store.views import Array, Input, Parts, TableView, Unit
from ..heads import second_order
from ..kinds import Derived, Made
from ..models import mlp_layers
from .second_order_effects import NEURONS, SecondOrderEffects
from .second_order_top_images import SecondOrderTopImages


@dataclass(frozen=True)
class SecondOrderDirections(Derived, TableView):
    """The direction along which a neuron's largest second-order effects vary most, of length 1: `vector`.

    The first principal component, around their mean, of the effects on the 100 images where they are longest
    (Gandelsman et al. 2025, section 4); `images` is how many these are, `norm` their mean length, `variance`
    the component's share of their variance, `mean` their mean, so that an effect is near mean + x · vector.
    It points to where most of these effects lie; where that is a tie, its largest entry is positive. Neurons
    whose effects are fewer than two, or are all the same, have no direction and no row.
    """

    top: Input[SecondOrderTopImages]
    axis: ClassVar[str] = "layer"
    columns: ClassVar[Mapping[str, str]] = {
        "module": "string",
        "layer": "int32",
        "neuron": "int32",
        "images": "int32",
        "norm": "float64",
        "variance": "float64",
        "vector": "list[float32]",
        "mean": "list[float32]",
    }

    @property
    def grid(self) -> Grid:
        """One layer a unit, all but the last."""
        return self.top.grid

    def needs(self, index: int) -> Sequence[Unit]:
        """List the layer's top images, and all that they are made from."""
        top = self.top.units[index]
        return (top, *top.needs)

    def contents(self, start: int, stop: int) -> str:
        """Give the digest of the layer's top images, from which the effects follow."""
        return digest.of_sequence([str(start), *(unit.key for unit in self.needs(start))])

    def derive(self, unit: Unit, parts: Parts) -> Made:
        """Find the directions of one block of neurons after another."""
        effects = self.top.effects(unit.start)
        rows = parts.rows(self.top.units[unit.start])
        neuron, image, score = (rows[name].to_numpy() for name in ("neuron", "image_id", "score"))
        found: dict[str, list[Any]] = {name: [] for name in self.columns}
        for first in range(0, effects.shape[1], NEURONS):
            block = slice(first, min(first + NEURONS, effects.shape[1]))
            places = np.searchsorted(neuron, np.arange(block.start, block.stop + 1))
            tops = [image[start:stop] for start, stop in pairwise(places)]
            for each, direction in enumerate(self._directions(effects, block, tops, parts)):
                if direction is not None:
                    vector, share, mean = direction
                    mine = score[places[each] : places[each + 1]]
                    told = [mlp_layers.module(effects.model, unit.start), unit.start, first + each, len(mine)]
                    for name, value in zip(
                        self.columns, [*told, float(mine.mean()), share, vector, mean], strict=True
                    ):
                        found[name].append(value)
        return Made(rows=found)

    def _directions(
        self, effects: SecondOrderEffects, block: slice, tops: Sequence[Array], parts: Parts
    ) -> Sequence[tuple[list[float], float, list[float]] | None]:
        """Give vector, share and mean of each neuron of a block; None where there is no direction."""
        factors = _gathered(effects, block, tops, parts)
        head_map, value_map = effects.read_maps(parts, block)
        found: list[tuple[list[float], float, list[float]] | None] = []
        for each, factor in enumerate(factors):
            if len(factor) < 2:
                found.append(None)
                continue
            maps = second_order.joint_maps(head_map, value_map[:, :, each : each + 1])[0]
            vectors, share, mean = second_order.principal((factor @ maps.astype(np.float64))[None])
            if np.isnan(share[0]):
                found.append(None)
            else:
                lists = [row[0].astype(np.float32).tolist() for row in (vectors, mean)]
                found.append((lists[0], float(share[0]), lists[1]))
        return found


def _gathered(
    effects: SecondOrderEffects, block: slice, tops: Sequence[Array], parts: Parts
) -> Sequence[Array]:
    """Read the scaled factors of each neuron on its top images, float64 "image head" each, as they stand."""
    heads = effects.maps.shape[0] * effects.maps.shape[1]
    found = [np.empty((len(top), heads)) for top in tops]
    for unit in effects.units:
        places = [np.flatnonzero((top >= unit.start) & (top < unit.stop)) for top in tops]
        if not any(map(len, places)):
            continue
        factor, scale = effects.factors(parts, slice(unit.start, unit.stop), block)
        scaled = second_order.scaled(factor, scale)
        for neuron, there in enumerate(places):
            found[neuron][there] = scaled[neuron, tops[neuron][there] - unit.start]
    return found
