"""The view of the pictures by which each neuron is described."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ...store import digest
from ...store.errors import BadSource
from ...store.grid import Grid
from ...store.views import Array, Input, Param, Parts, TableView, Unit
from ..by_neuron import ByNeuron
from ..images.geometry import Box
from ..images.pixels import pixels_of
from ..kinds import Assisted, Made
from ..neurons import pooling
from ..neurons.activity import state_in
from ..neurons.pooled import NEURONS
from ..work import Amount, Known, Work, exactly
from .neuron_crops import NeuronCrops, squashed
from .neuron_statistics import NeuronStatistics

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from ..running.aids import Aids


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture, or a part of one, as an exemplar."""

    kind: str
    """"image" or "crop"."""
    image_id: int
    """The image."""
    crop: int
    """The number of its crop; -1 for the image itself."""
    box: tuple[int, int, int, int]
    """Left, top, right, bottom in pixels of the upright picture."""


@dataclass(frozen=True)
class NeuronExemplars(Assisted, TableView):
    """The top images of each neuron and crops of them, the most activating first.

    Crops go through the model as pictures of their own, pooled as the activations are; of equal ones the one
    that was seen first goes first (Describe-and-Dissect, Bai et al. 2024, section 3.1). A neuron that is
    dead, constant or tied, as `neuron_statistics` has it, has none: its top images say nothing of it.
    """

    seen: Input[NeuronCrops]
    statistics: Input[NeuronStatistics]
    exemplars: Param[int] = 10
    """Pictures of each neuron, at most."""
    per_image: Param[int] = 2
    """At most so many of one image, so that no image crowds out the others; 0 for no limit."""
    square: Param[int] = 0
    """The side in pixels to which pictures are squashed, and then crops of these, as released (375); 0 leaves
    them as they are."""
    version: ClassVar[int] = 2
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "default": {},
        "paper": {"per_image": 0, "square": 375},
    }
    axis: ClassVar[str] = "neuron"
    columns: ClassVar[Mapping[str, str]] = {
        "module": "string",
        "neuron": "int32",
        "rank": "int32",
        "kind": "string",
        "image_id": "int64",
        "crop": "int32",
        "x0": "int32",
        "y0": "int32",
        "x1": "int32",
        "y1": "int32",
        "pixels": "string",
        "activation": "float32",
    }

    def __post_init__(self) -> None:
        """Refuse numbers that mean nothing."""
        for name, least in (("exemplars", 1), ("per_image", 0), ("square", 0)):
            if getattr(self, name) < least:
                raise BadSource(f"{name}={getattr(self, name)}: it starts at {least}")
        if self.seen.k > self.statistics.top_k:
            raise BadSource(
                f"k={self.seen.k} top images are looked at, and ties are found among the "
                f"top_k={self.statistics.top_k} largest activations alone; give top_k={self.seen.k} as well"
            )

    @property
    def grid(self) -> Grid:
        """One neuron a unit."""
        return self.seen.grid

    def constant(self) -> Mapping[str, str]:
        """Name the module."""
        return self.seen.constant()

    def needs(self, index: int) -> Sequence[Unit]:
        """List the neuron's crops, its top images, and the statistics of its block."""
        return (self.seen.units[index], *self.seen.needs(index), self.statistics.units[index // NEURONS])

    def contents(self, start: int, stop: int) -> str:
        """Give the digest of the neuron's crops and statistics."""
        return digest.of_sequence([self.seen.units[start].key, self.statistics.units[start // NEURONS].key])

    def state(self, neuron: int, rows: Sequence[Mapping[str, Any]]) -> str:
        """Find in its block's statistics whether a neuron can be labelled: ok, dead, constant or tied."""
        return state_in(rows, neuron)

    def picture(self, aids: Aids, shown: Shown) -> Image.Image:
        """Cut an exemplar out of its image."""
        picture = aids.image(self.seen.top.activations.images, shown.image_id)
        whole = squashed(picture, self.square).convert("RGB")
        if shown.kind == "image":
            return whole
        part = whole.crop(scaled(shown.box, picture.size, whole.size))
        return part.resize(whole.size) if self.square else part

    def assist(self, units: Sequence[Unit], parts: Parts, aids: Aids) -> Mapping[str, Made]:
        """Run each neuron's top images and crops through the model, by themselves, and rank them."""
        made, blocks = {}, ByNeuron.beneath(parts)
        for unit in units:
            offers = self._offers(unit, parts, blocks, aids)
            pictures = [self.picture(aids, shown) for shown in offers]
            values = self._activations(unit.start, pictures, aids)
            order = sorted(range(len(offers)), key=lambda place: (-values[place], place))
            chosen = self._chosen([(place, offers[place]) for place in order])
            rows = [(shown, pixels_of(pictures[place]), values[place]) for place, shown in chosen]
            made[unit.key] = Made(rows=self._rows(unit.start, rows))
        return made

    def forecast(self, units: Sequence[Unit], known: Known) -> Work:
        """Count the top images and their crops."""
        total = Work()
        for unit in units:
            block, k = unit.start // NEURONS, self.seen.k
            top = known.blocks.known(self.seen.top.units[block], unit.start)
            states = known.blocks.known(self.statistics.units[block], unit.start)
            crops = known.rows(self.seen.units[unit.start])
            if top is None or crops is None or states is None:
                total += Work(pictures=Amount(0, k * (1 + self.seen.crops * self.seen.mapped)))
            elif self.state(unit.start, states) == "ok":
                total += Work(pictures=exactly(sum(row["rank"] < k for row in top) + len(crops)))
        return total

    def _offers(self, unit: Unit, parts: Parts, blocks: ByNeuron, aids: Aids) -> list[Shown]:
        """List a neuron's top images that can be read, each followed by its crops."""
        statistics = blocks.of(self.statistics.units[unit.start // NEURONS], unit.start)
        if self.state(unit.start, statistics) != "ok":
            return []
        crops = parts.rows(self.seen.units[unit.start]).to_pylist()
        images = self.seen.top.activations.images
        ids = [image_id for _, image_id, _ in self.seen.shown(unit.start, blocks)]
        found: list[Shown] = []
        for image_id, picture in aids.readable(images, ids).items():
            found.append(Shown("image", image_id, -1, (0, 0, *picture.size)))
            for row in crops:
                if row["image_id"] == image_id:
                    box = (row["x0"], row["y0"], row["x1"], row["y1"])
                    found.append(Shown("crop", image_id, row["crop"], box))
        return found

    def _activations(self, neuron: int, pictures: Sequence[Image.Image], aids: Aids) -> list[float]:
        """Give what a neuron gives for each picture."""
        if not pictures:
            return []
        view = self.seen.top.activations

        def take(output: Tensor) -> Array:
            pooled = pooling.pool(output, 0, view.pool, view.token, view.channels)
            found: Array = pooled[:, neuron].cpu().numpy()
            return found

        values = [float(value) for value in aids.outputs(view, pictures, take)]
        if not np.isfinite(values).all():
            raise ArithmeticError(f"neuron {neuron} of {view.module} gave activations that are not finite")
        return values

    def _chosen(self, ranked: Sequence[tuple[int, Shown]]) -> Iterator[tuple[int, Shown]]:
        """Take the first ones, and of one image no more than its share."""
        taken: dict[int, int] = {}
        left = self.exemplars
        for place, shown in ranked:
            mine = taken.get(shown.image_id, 0)
            if left and (not self.per_image or mine < self.per_image):
                taken[shown.image_id] = mine + 1
                left -= 1
                yield place, shown

    def _rows(self, neuron: int, found: Sequence[tuple[Shown, str, float]]) -> dict[str, list[Any]]:
        rows: dict[str, list[Any]] = {name: [] for name in self.columns}
        for rank, (shown, pixels, value) in enumerate(found):
            module = self.seen.top.activations.module
            values = (module, neuron, rank, shown.kind, shown.image_id, shown.crop, *shown.box, pixels, value)
            for name, each in zip(self.columns, values, strict=True):
                rows[name].append(each)
        return rows


def scaled(box: Box, size: tuple[int, int], to: tuple[int, int]) -> Box:
    """Give a box of a picture where the picture has another size, of one pixel at least.

    >>> scaled((2, 3, 10, 4), (20, 10), (10, 10))
    (1, 3, 5, 4)
    """
    left, top = (round(box[at] * to[at] / size[at]) for at in (0, 1))
    right, bottom = (round(box[at + 2] * to[at] / size[at]) for at in (0, 1))
    left, top = min(left, to[0] - 1), min(top, to[1] - 1)
    return left, top, max(right, left + 1), max(bottom, top + 1)


def shown_in(row: Mapping[str, Any]) -> Shown:
    """Read an exemplar from its row."""
    return Shown(row["kind"], row["image_id"], row["crop"], (row["x0"], row["y0"], row["x1"], row["y1"]))
