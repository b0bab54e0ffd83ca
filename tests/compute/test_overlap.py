"""Network Dissection's sums against a literal transcription, whatever the sizes and the blocks."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from belvedere.compute.largest import Largest
from belvedere.compute.neurons.overlap import OUTSIDE, Overlap, enlarged, positions, rank_of
from belvedere.compute.neurons.pooling import map_side, maps

IMAGES, NEURONS, CONCEPTS = 20, 5, 4


def world(height: int = 4, width: int = 3) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Maps with ties and negative values, and masks of which some are empty."""
    dice = np.random.default_rng(0)
    found = dice.normal(size=(IMAGES, NEURONS, height, width)).round(1).astype(np.float32)
    masks = dice.random((IMAGES, CONCEPTS, 10, 8)) < 0.3
    masks[dice.random((IMAGES, CONCEPTS)) < 0.4] = False
    return found, masks


def planes(masks: NDArray[np.bool_]) -> NDArray[np.uint16]:
    """Give each concept a plane of its own, in another order in each image."""
    numbers = masks * np.arange(1, masks.shape[1] + 1, dtype=np.uint16)[:, None, None]
    return np.stack([np.roll(each, place, axis=0) for place, each in enumerate(numbers)])


@pytest.mark.parametrize("size", [(10, 8), (4, 3), (7, 19), (2, 2)])
def test_maps_are_enlarged_as_torch_does(size: tuple[int, int]) -> None:
    small, _ = world()
    if size == (2, 2):
        small = small[:, :, :1, :1]  # one cell is everywhere
    expected = torch.nn.functional.interpolate(torch.from_numpy(small).double(), size, mode="bilinear")
    np.testing.assert_allclose(enlarged(small, *size), expected.numpy(), atol=1e-12)


@pytest.mark.parametrize("share", [0.005, 0.1, 0.5])
def test_a_share_of_all_positions_exceeds_the_threshold(share: float) -> None:
    values = np.random.default_rng(0).permutation(np.arange(3000.0)).reshape(30, 1, 10, 10)
    largest = Largest(1, rank_of(share, values.size))
    for start in range(0, 30, 7):
        largest.add(positions(values[start : start + 7]))
    assert (values > largest.least[0]).mean() == pytest.approx(share)


@pytest.mark.parametrize("step", [1, 3, IMAGES])
def test_intersection_over_union_is_its_definition(step: int) -> None:
    small, masks = world()
    thresholds = np.array([0.0, 0.5, 1.2, 9.0, -9.0], np.float32).astype(np.float64)
    overlap = Overlap(thresholds, CONCEPTS)
    for start in range(0, IMAGES, step):
        overlap.add(small[start : start + step], planes(masks[start : start + step]))
    large = torch.nn.functional.interpolate(
        torch.from_numpy(small).double(), (10, 8), mode="bilinear"
    ).float()
    for neuron in range(NEURONS):
        active = large[:, neuron].numpy() > thresholds[neuron]
        for concept in range(CONCEPTS):
            there = masks[:, concept]
            expected = (active & there).sum() / (active | there).sum()
            assert overlap.iou()[neuron, concept] == expected


def test_a_map_that_is_level_at_its_threshold_does_not_exceed_it() -> None:
    level = np.full((1, 1, 7, 7), np.float32(0.1))
    level[0, 0, 3, 3] = 0.2
    overlap = Overlap(level[:, 0, 0, 0].astype(np.float64), 1)
    overlap.add(level, np.ones((1, 1, 375, 375), np.uint16))
    peak = np.zeros((7, 7))
    peak[3, 3] = 1
    assert overlap.iou()[0, 0] == (enlarged(peak, 375, 375) > 1e-6).mean()


def test_a_concept_that_is_nowhere_meets_no_neuron() -> None:
    small, masks = world()
    overlap = Overlap(np.full(NEURONS, 9.0), CONCEPTS)
    overlap.add(small, planes(masks & False))
    np.testing.assert_array_equal(overlap.iou(), np.zeros((NEURONS, CONCEPTS)))


@pytest.mark.parametrize(
    ("shape", "channels", "side"),
    [
        ((6, 5, 5), "auto", (5, 5)),
        ((6, 4, 5), "first", (4, 5)),
        ((4, 5, 6), "last", (4, 5)),
        ((17, 6), "auto", (4, 4)),
        ((16, 6), "auto", (4, 4)),
        ((6, 16), "first", (4, 4)),
    ],
)
def test_maps_are_cut_from_every_layout(shape: tuple[int, ...], channels: str, side: tuple[int, int]) -> None:
    assert map_side(shape, channels) == side  # type: ignore[arg-type]
    output = torch.arange(2 * math.prod(shape)).reshape(2, *shape)
    found = maps(output, 0, channels)  # type: ignore[arg-type]
    assert tuple(found.shape) == (2, 6, *side)
    first = channels == "first" or (len(shape) == 3 and channels == "auto")
    flat = output.reshape(2, 6, -1) if first else output.reshape(2, -1, 6).movedim(-1, 1)
    torch.testing.assert_close(found.flatten(2), flat[:, :, -side[0] * side[1] :].float())


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((6,), "it gives one number a neuron"),
        ((1, 6), "one number"),
        ((15, 6), "its 15 positions are no map"),
    ],
)
def test_what_is_no_map_is_refused(shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        map_side(shape, "auto")


def test_where_there_is_no_picture_nothing_counts() -> None:
    small, masks = world()
    padded = Overlap(np.zeros(NEURONS), CONCEPTS)
    seen = planes(masks)
    seen[:, :, :, 5:] = OUTSIDE
    padded.add(small, seen)
    large = enlarged(small, 10, 8).astype(np.float32)[..., :5] > 0
    for neuron, concept in np.ndindex(NEURONS, CONCEPTS):
        active, there = large[:, neuron], masks[:, concept, :, :5]
        assert padded.iou()[neuron, concept] == (active & there).sum() / (active | there).sum()
