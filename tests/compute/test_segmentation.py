"""Segmentation is measured as the published evaluation measures it, each image by itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from belvedere.compute.attribution.segmentation import METRICS, Counts, counts, scores


def published(heats: list[NDArray[Any]], masks: list[NDArray[np.bool_]]) -> dict[str, float]:
    """Measure pixel by pixel, with batches of one image as published: min-max, threshold at the mean."""
    correct = labelled = 0
    inter, union = np.zeros(2), np.zeros(2)
    precisions = []
    for heat, mask in zip(heats, masks, strict=True):
        tensor = torch.from_numpy(heat)[None, None]
        res = torch.nn.functional.interpolate(tensor, mask.shape, mode="bilinear", align_corners=False)[0, 0]
        res = res.clamp(min=0)
        res = (res - res.min()) / (res.max() - res.min())
        predicted = res > res.mean()
        for y, x in np.ndindex(*mask.shape):
            said, is_it = int(predicted[y, x]), int(mask[y, x])
            correct, labelled = correct + (said == is_it), labelled + 1
            for channel in (0, 1):
                inter[channel] += said == is_it == channel
                union[channel] += said == channel or is_it == channel
        channels = torch.stack([1 - res, res])
        channels[channels != channels] = 0  # as published: not a number where the map is the same everywhere
        said_so = channels.numpy().ravel()
        precisions.append(average_precision_score(np.concatenate([~mask.ravel(), mask.ravel()]), said_so))
    eps = np.spacing(1, dtype=np.float64)  # the literal formula: without it a channel that is nowhere is NaN
    values = (correct / (labelled + eps), (inter / (union + eps)).mean(), np.mean(precisions))
    return dict(zip(METRICS, map(float, values), strict=True))


def test_counts_add_up_to_what_is_published() -> None:
    dice = np.random.default_rng(0)
    heats = [dice.normal(0.2, 1, (3, 4)) * size for size in (1, 100, 0.01)]
    heats += [np.zeros((3, 4)), -np.ones((3, 4)), np.eye(3, 4)]  # the same everywhere; ties
    masks = [dice.random((12, 16)) < share for share in (0.3, 0.7, 0.5, 0.2, 0.4, 0.1)]
    whole = np.ones((12, 16), bool)
    rows = [counts(heat, mask, whole) for heat, mask in zip(heats, masks, strict=True)]
    found, wanted = scored(rows), published(heats, masks)
    assert found["pixel_accuracy"] == pytest.approx(wanted["pixel_accuracy"], abs=1e-12)
    assert found["mean_iou"] == pytest.approx(wanted["mean_iou"], abs=1e-12)
    # torch's rounding tells pixels apart, along the far edges, that are equal
    assert found["mean_average_precision"] == pytest.approx(wanted["mean_average_precision"], abs=1e-4)
    assert rows[3].average_precision == 0.5


def test_where_preprocessing_pads_no_pixel_counts() -> None:
    dice = np.random.default_rng(1)
    heat, mask, there = dice.normal(size=(4, 4)), dice.random((16, 16)) < 0.4, np.zeros((16, 16), bool)
    there[4:12] = True
    found = counts(heat, mask, there)
    assert found.pixels == 128
    other = mask ^ ~there  # what lies beyond the picture changes nothing
    assert counts(heat, other, there) == found


def test_a_channel_that_is_nowhere_counts_as_0_as_published() -> None:
    heat, mask = np.zeros((2, 2)), np.zeros((8, 8), bool)
    found = scored([counts(heat, mask, ~mask)])
    assert found["mean_iou"] == pytest.approx(published([heat], [mask])["mean_iou"], abs=1e-12)
    assert found["mean_iou"] == pytest.approx(0.5, abs=1e-12)


def test_of_no_images_nothing_is_said() -> None:
    assert scores({}, 0) == dict.fromkeys(METRICS)


def scored(rows: list[Counts]) -> dict[str, float | None]:
    names = Counts.__dataclass_fields__
    return scores({name: sum(getattr(each, name) for each in rows) for name in names}, len(rows))
