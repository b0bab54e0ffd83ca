"""The view of how well each image's thing is found, pixel by pixel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np

from ...store import digest
from ...store.grid import Grid
from ...store.views import Input, Parts, TableView, Unit
from ..kinds import Derived, Made
from .foreground_masks import ForegroundMasks
from .relevance_maps import METHODS, RelevanceMaps


@dataclass(frozen=True)
class SegmentationCounts(Derived, TableView):
    """What is counted of each image of how its map meets its mask, at the pixels that the model sees.

    From these `segmentation_scores` follow; see `compute/attribution/segmentation.py` for what is counted.
    `class` is the one whose map it is. Images without a mask or a class, or that cannot be read, are left
    out.
    """

    maps: Input[RelevanceMaps]
    masks: Input[ForegroundMasks]
    axis: ClassVar[str] = "image"
    columns: ClassVar[Mapping[str, str]] = {
        "image_id": "int64",
        "class": "string",
        "method": "string",
        "pixels": "int64",
        "correct": "int64",
        "background_intersection": "int64",
        "background_union": "int64",
        "thing_intersection": "int64",
        "thing_union": "int64",
        "average_precision": "float64",
    }

    @classmethod
    def choices(cls) -> Mapping[str, Sequence[str]]:
        """Give the methods."""
        return {"method": METHODS}

    @property
    def grid(self) -> Grid:
        """The blocks of the maps."""
        return self.maps.grid

    def constant(self) -> Mapping[str, str]:
        """Name the method."""
        return self.maps.constant()

    def needs(self, index: int) -> Sequence[Unit]:
        """List the maps of the block, and the masks of its images."""
        places = self.masks.grid.touched(range(*self.grid.span(index)))
        return (self.maps.units[index], *(self.masks.units[place] for place in places))

    def contents(self, start: int, stop: int) -> str:
        """Give the digest of the maps, of these images' masks, and of what the classes are called."""
        masks, names = self.masks.contents(start, stop), self.maps.names_of_classes
        return digest.of_sequence([self.maps.units[start // self.grid.block].key, masks, *names])

    def derive(self, unit: Unit, parts: Parts) -> Made:
        """Compare image by image."""
        from ..attribution.segmentation import counts

        images, whole = slice(unit.start, unit.stop), slice(None)
        maps = parts.array(self.maps, "map", (images,))
        classes = parts.array(self.maps, "class", (images,))
        known = parts.array(self.masks, "known", (images,)).astype(bool)
        masks, there = (
            self.masks.unpacked(parts, each, (images, whole, whole)) for each in ("bits", "there")
        )
        rows: dict[str, list[Any]] = {name: [] for name in self.columns}
        for place in np.flatnonzero(known & (classes >= 0)).tolist():
            found = counts(maps[place], masks[place], there[place])
            same = {
                "image_id": unit.start + place,
                "class": self.maps.names_of_classes[classes[place]],
                "method": self.maps.method,
            }
            for name, value in {**same, **asdict(found)}.items():
                rows[name].append(value)
        return Made(rows=rows, facts={"images": len(rows["image_id"])})
