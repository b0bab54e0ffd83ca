"""The view of how well a method finds the things in images without having been trained to."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ...store import digest
from ...store.grid import Grid
from ...store.views import Input, Parts, TableView, Unit
from ..kinds import Derived, Made
from .relevance_maps import METHODS
from .segmentation_counts import SegmentationCounts


@dataclass(frozen=True)
class SegmentationScores(Derived, TableView):
    """How well each method segments the images into thing and background, zero-shot, over all images.

    `metric` is pixel_accuracy and mean_iou, which count pixels over all images (mean_iou is the mean of thing
    and background), or mean_average_precision, the mean over images; `images` says over how many. As in
    Gandelsman et al. (2024, section 5.3); how, stands in `compute/attribution/segmentation.py`.
    """

    counts: Input[SegmentationCounts]
    version: ClassVar[int] = 2  # 1 left a channel out of mean_iou that is nowhere
    axis: ClassVar[str] = "table"
    columns: ClassVar[Mapping[str, str]] = {
        "method": "string",
        "metric": "string",
        "value": "float64",
        "images": "int64",
    }

    @classmethod
    def choices(cls) -> Mapping[str, Sequence[str]]:
        """Give the methods."""
        return {"method": METHODS}

    @property
    def grid(self) -> Grid:
        """One unit."""
        return Grid(1, 1)

    def constant(self) -> Mapping[str, str]:
        """Name the method."""
        return self.counts.constant()

    def needs(self, index: int) -> Sequence[Unit]:
        """List the counts of all images."""
        return self.counts.units

    def contents(self, start: int, stop: int) -> str:
        """Give the digest of the counts."""
        return digest.of_sequence(unit.key for unit in self.needs(0))

    def derive(self, unit: Unit, parts: Parts) -> Made:
        """Put the counts of all images together."""
        from ..attribution.segmentation import Counts, scores

        counted: dict[str, list[float]] = {name: [] for name in Counts.__dataclass_fields__}
        images = 0
        for each in self.needs(0):
            rows = parts.rows(each)
            images += len(rows)
            for name, sums in counted.items():
                sums.append(math.fsum(rows[name].to_numpy()))
        found = scores({name: math.fsum(sums) for name, sums in counted.items()}, images)
        made: dict[str, list[Any]] = {
            "method": [self.counts.maps.method] * len(found),
            "metric": list(found),
            "value": list(found.values()),
            "images": [images] * len(found),
        }
        return Made(rows=made, facts={"images": images})
