"""The view of where in its top images each neuron looks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from ...store import digest
from ...store.errors import BadSource
from ...store.grid import Grid
from ...store.views import Array, Input, Param, Parts, TableView, Unit
from ..by_neuron import ByNeuron
from ..images.geometry import Box, Window
from ..kinds import Assisted, Made
from ..neurons import pooling
from ..neurons.pooled import NEURONS
from ..neurons.regions import SIDE, Heat, Rules, regions
from ..work import Amount, Known, Work, exactly
from .top_images import TopImages

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from ..running.aids import Aids

KEPT = 100
"""Top images of a neuron that are kept, and so the most that can be looked at."""

USUAL = 256
"""The side of a picture of which any preprocessing that keeps a straight part keeps one."""
SMALLEST = 8
"""Pixels of a picture's shorter side below which it has no crops: nobody can tell where it is put."""


@dataclass(frozen=True)
class NeuronCrops(Assisted, TableView):
    """Boxes around what a neuron sees in its top images: the bright regions of its activation maps.

    A map is scaled to its largest value, enlarged, thresholded (Otsu 1979), and cut into boxes, of which
    the largest few are kept that neither overlap much nor fill the picture (Describe-and-Dissect, Bai et
    al. 2024, section 3.1). Boxes are in pixels of the upright picture, right and bottom exclusive, and lie
    where the model's own preprocessing saw the region. A module without maps, such as a last linear one, has
    none.
    """

    top: Input[TopImages]
    k: Param[int] = 10
    """Top images of each neuron that are looked at."""
    crops: Param[int] = 4
    """Boxes of each image, at most; 0 for none."""
    overlap: Param[float] = 0.5
    """The largest intersection over union of two boxes of an image."""
    min_side: Param[float] = 0.125
    """The least side of a box, as a share of what the model sees."""
    min_area: Param[float] = 0.01
    """The least area of a box, likewise."""
    heat: Param[Heat] = "positive"
    """How a map becomes 8 bits: scaled to its largest value, or "wrapped", modulo 256, as released."""
    frame: Param[Literal["window", "squashed"]] = "window"
    """Where boxes lie: in the part of the picture that the model saw, or over all of it, squashed."""
    square: Param[int] = 0
    """The side in pixels to which pictures are squashed before the model sees them, and to which maps are
    enlarged, as released (375); 0 leaves pictures as they are."""
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "default": {},
        "paper": {"frame": "squashed", "heat": "wrapped", "min_side": 0.0, "min_area": 0.0, "square": 375},
    }
    version: ClassVar[int] = 2
    axis: ClassVar[str] = "neuron"
    columns: ClassVar[Mapping[str, str]] = {
        "module": "string",
        "neuron": "int32",
        "rank": "int32",
        "image_id": "int64",
        "crop": "int32",
        "x0": "int32",
        "y0": "int32",
        "x1": "int32",
        "y1": "int32",
        "area": "float32",
        "threshold": "float32",
    }

    def __post_init__(self) -> None:
        """Refuse numbers that mean nothing."""
        if not 1 <= self.k <= KEPT:
            raise BadSource(f"k={self.k}: from 1 to {KEPT} images of each neuron are kept")
        for name in ("crops", "square"):
            if getattr(self, name) < 0:
                raise BadSource(f"{name}={getattr(self, name)}: it starts at 0, for none")
        for name in ("overlap", "min_side", "min_area"):
            if not 0 <= getattr(self, name) <= 1:
                raise BadSource(f"{name}={getattr(self, name)}: a share, from 0 to 1")

    @property
    def grid(self) -> Grid:
        """One neuron a unit."""
        return Grid(self.top.activations.shape[1], 1)

    def constant(self) -> Mapping[str, str]:
        """Name the module."""
        return self.top.constant()

    def needs(self, index: int) -> Sequence[Unit]:
        """List the top images of the neuron's block."""
        return (self.top.units[index // NEURONS],)

    def contents(self, start: int, stop: int) -> str:
        """Give the digest of the neuron and of all activations, from which its top images follow."""
        return digest.of_sequence([str(start), self.top.units[start // NEURONS].key])

    @property
    def rules(self) -> Rules:
        """Which regions are kept."""
        whole = 0.8
        return Rules(self.crops, self.overlap, whole, self.min_side, self.min_area)

    def assist(self, units: Sequence[Unit], parts: Parts, aids: Aids) -> Mapping[str, Made]:
        """Run each neuron's top images through the model, by themselves, and look at its maps."""
        placed, blocks, made = _Places(self, aids), ByNeuron.beneath(parts), {}
        for unit in units:
            shown = self.shown(unit.start, blocks)
            maps = self._maps(unit.start, shown, aids) if self.crops and self.mapped else {}
            made[unit.key] = Made(rows=self._rows(unit.start, shown, maps, placed))
        return made

    def forecast(self, units: Sequence[Unit], known: Known) -> Work:
        """Count the top images."""
        if not self.crops or not self.mapped:
            return Work()
        total, most = Work(), min(self.k, len(self.top.activations.images))
        for unit in units:
            rows = known.blocks.known(self.top.units[unit.start // NEURONS], unit.start)
            count = Amount(0, most) if rows is None else exactly(sum(row["rank"] < self.k for row in rows))
            total += Work(pictures=count)
        return total

    def shown(self, neuron: int, blocks: ByNeuron) -> list[tuple[int, int, float]]:
        """List the top images of a neuron that are looked at: rank, image_id and activation."""
        rows = blocks.of(self.top.units[neuron // NEURONS], neuron)
        return [(row["rank"], row["image_id"], row["activation"]) for row in rows if row["rank"] < self.k]

    @property
    def mapped(self) -> bool:
        """Whether neurons of the module have maps, and so can have crops."""
        view = self.top.activations
        try:
            pooling.map_side(view.model.module(view.module).shape, view.channels)
        except ValueError:
            return False
        return True

    def _maps(self, neuron: int, shown: Sequence[tuple[int, int, float]], aids: Aids) -> dict[int, Array]:
        """Give a neuron's map in each of its images that can be read, by image_id."""
        view = self.top.activations

        def take(output: Tensor) -> Array:
            found: Array = pooling.maps(output, 0, view.channels)[:, neuron].cpu().numpy()
            return found

        pictures = aids.readable(view.images, [image_id for _, image_id, _ in shown])
        if not pictures:
            return {}
        found = aids.outputs(view, [squashed(each, self.square) for each in pictures.values()], take)
        return dict(zip(pictures, found, strict=True))

    def _rows(
        self,
        neuron: int,
        shown: Sequence[tuple[int, int, float]],
        maps: Mapping[int, Array],
        placed: _Places,
    ) -> dict[str, list[Any]]:
        rows: dict[str, list[Any]] = {name: [] for name in self.columns}
        for rank, image_id, _ in shown:
            if image_id not in maps:
                continue
            found, threshold = regions(maps[image_id], self.rules, self.heat, self.square or SIDE)
            boxes = [placed.box(image_id, region) for region in found]
            for crop, box in enumerate(box for box in boxes if box is not None):
                share = (box[2] - box[0]) * (box[3] - box[1]) / placed.area(image_id)
                values = (self.top.activations.module, neuron, rank, image_id, crop, *box, share, threshold)
                for name, value in zip(self.columns, values, strict=True):
                    rows[name].append(value)
        return rows


class _Places:
    """Finds where regions of a map lie in a picture."""

    def __init__(self, view: NeuronCrops, aids: Aids) -> None:
        self._images, self._frame, self._square = view.top.activations.images, view.frame, view.square
        self._aids, self._model = aids, view.top.activations.model

    def box(self, image_id: int, region: tuple[float, float, float, float]) -> Box | None:
        """Give a region in pixels of a picture; None where none of it is in that, or it is not known."""
        width, height = self._aids.image(self._images, image_id).size
        if min(width, height) < SMALLEST and not self._square:
            return None
        window = self._window(width, height)
        if window is None:
            return None
        found = window.box(region, width, height)
        return found if found[0] < found[2] and found[1] < found[3] else None

    def area(self, image_id: int) -> int:
        """Give the pixels of a picture."""
        width, height = self._aids.image(self._images, image_id).size
        return width * height

    def _window(self, width: int, height: int) -> Window | None:
        """Find where a picture's map lies in it; None where padding leaves too little of it to tell."""
        if self._frame == "squashed":
            return Window(0, 0, width, height)
        windows = self._aids.loaded(self._model).windows
        found = windows.of(self._square or width, self._square or height)
        if found is None and windows.of(USUAL, USUAL) is None:
            raise ArithmeticError(
                f"the preprocessing of {self._model.name!r} keeps no straight part of a picture, so a map "
                "has no place in it; frame='squashed' lays maps over the whole picture"
            )
        if found is None or not self._square:
            return found
        across, down = width / self._square, height / self._square
        return Window(found.left * across, found.top * down, found.right * across, found.bottom * down)


def squashed(picture: Image.Image, square: int) -> Image.Image:
    """Squash a picture to a square of so many pixels, whatever its shape; 0 leaves it as it is."""
    return picture.convert("RGB").resize((square, square)) if square else picture
