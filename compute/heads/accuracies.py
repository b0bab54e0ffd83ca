"""How often images were named rightly: over all, by class, by group, and in the worst group."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Accuracy:
    """One share of images that were named rightly."""

    metric: str
    """What it is: accuracy, class accuracy, group accuracy or worst group accuracy."""
    label: str | None
    """The class of the images, where they are of one."""
    grp: str | None
    """Their group, where they are of one."""
    value: float
    """The share."""
    images: int
    """How many images it is a share of."""


@dataclass(frozen=True, slots=True)
class Cells:
    """Images by their class, and by class and group, as places in their set."""

    classes: dict[str, list[int]]
    """The images of each class."""
    groups: dict[tuple[str, str], list[int]]
    """The images of each class in each group; none where images have no groups."""

    @classmethod
    def of(cls, labels: Sequence[str], groups: Sequence[str] | None, order: Sequence[str]) -> Cells:
        """Sort images into cells: classes in the order given, the groups of each by name."""
        classes: dict[str, list[int]] = {name: [] for name in order}
        found: dict[tuple[str, str], list[int]] = {}
        for image, label in enumerate(labels):
            classes[label].append(image)
            if groups is not None:
                found.setdefault((label, groups[image]), []).append(image)
        place = {name: number for number, name in enumerate(order)}
        ordered = sorted(found, key=lambda cell: (place[cell[0]], cell[1]))
        return cls(classes, {cell: found[cell] for cell in ordered})

    def accuracies(self, right: Bools, there: Bools) -> Iterator[Accuracy]:
        """Count for which of the images that are `there` the name was `right`, "image" both.

        A class or group of which no image is there has no accuracy. The worst group is the first of those
        with the lowest accuracy.
        """
        if not there.any():
            return
        yield Accuracy("accuracy", None, None, float(right[there].mean()), int(there.sum()))
        for label, images in self.classes.items():
            yield from _of("class accuracy", label, None, images, right, there)
        by_group = [
            each
            for (label, grp), images in self.groups.items()
            for each in _of("group accuracy", label, grp, images, right, there)
        ]
        yield from by_group
        if by_group:
            worst = min(by_group, key=lambda each: each.value)
            yield Accuracy("worst group accuracy", worst.label, worst.grp, worst.value, worst.images)


def _of(
    metric: str, label: str, grp: str | None, images: Sequence[int], right: Bools, there: Bools
) -> Iterator[Accuracy]:
    known = there[images]
    if known.any():
        yield Accuracy(metric, label, grp, float(right[images][known].mean()), int(known.sum()))
