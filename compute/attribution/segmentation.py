"""How well a map of patches says where the thing in an image is: pixel accuracy, IoU, average precision.

As Gandelsman, Efros and Steinhardt (ICLR 2024, section 5.3) and, before them, Chefer, Gur and Wolf (CVPR
2021, section 4) measure. A map is stretched bilinearly to what the model sees, what is below zero is cut off,
and it is brought to between 0 and 1, each image by itself. The thing is where the map exceeds its own mean.
Accuracy and IoU count pixels over all images, and mean IoU is the mean of both channels', background and
thing, each inter / (union + ε) as published: a channel that is in no image and is never said counts as 0.
Average precision is that of both channels, 1 - map for the background and the map for the thing, taken
together, and its mean is over images. Where preprocessing pads
there is no image, and no pixel counts. A map that is everywhere the same says that there is no thing, and
its average precision is that of a guess, 0.5: as published, where it comes of numbers that are none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..images.stretch import over_input

Mask = NDArray[np.bool_]
Doubles = NDArray[np.float64]
METRICS = ("pixel_accuracy", "mean_iou", "mean_average_precision")
"""What is measured over all images."""
EPSILON = float(np.spacing(1))
"""What is added to what is divided by, as published."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What is counted of one image."""

    pixels: int
    """Pixels of the image that the model sees."""
    correct: int
    """Those that are where the map says, thing or background."""
    background_intersection: int
    """Those that are background and are said to be."""
    background_union: int
    """Those that are background or are said to be."""
    thing_intersection: int
    """Those that are of the thing and are said to be."""
    thing_union: int
    """Those that are of the thing or are said to be."""
    average_precision: float
    """Average precision over both channels."""


def counts(heat: NDArray[Any], mask: Mask, there: Mask) -> Counts:
    """Compare a map "y x" of patches with a mask "y x" of what the model sees, where there is picture."""
    scaled = scale(heat, there)
    truth = mask[there]
    said = scaled > scaled.mean()
    channels = np.concatenate([1 - scaled, scaled]) if scaled.any() else np.zeros(2 * len(scaled))
    both = [int((truth & said).sum()), int((~truth & ~said).sum())]
    either = [int((truth | said).sum()), int((~truth | ~said).sum())]
    return Counts(
        pixels=len(truth),
        correct=sum(both),
        background_intersection=both[1],
        background_union=either[1],
        thing_intersection=both[0],
        thing_union=either[0],
        average_precision=_precision(np.concatenate([~truth, truth]), channels),
    )


def scale(heat: NDArray[Any], there: Mask) -> Doubles:
    """Stretch a map, cut off what is below zero, and bring it to 0 to 1 over the pixels of the picture."""
    stretched = np.clip(over_input(heat, (there.shape[0], there.shape[1]))[there], 0, None)
    low, high = stretched.min(), stretched.max()
    scaled: Doubles = (stretched - low) / (high - low) if high > low else np.zeros_like(stretched)
    return scaled


def scores(total: Mapping[str, float], images: int) -> dict[str, float | None]:
    """Make the scores of what is counted, each count summed over all images; None where there are none."""
    if not images:
        return dict.fromkeys(METRICS)
    shares = [
        total[f"{which}_intersection"] / (total[f"{which}_union"] + EPSILON)
        for which in ("background", "thing")
    ]
    values = (
        total["correct"] / (total["pixels"] + EPSILON),
        sum(shares) / len(shares),
        total["average_precision"] / images,
    )
    return dict(zip(METRICS, values, strict=True))


def _precision(truth: Mask, said: Doubles) -> float:
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(truth, said))
