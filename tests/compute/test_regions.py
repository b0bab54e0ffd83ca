"""The bright regions of activation maps."""

from __future__ import annotations

import numpy as np
import pytest

from belvedere.compute.neurons.regions import Rules, regions
from belvedere.store.views import Array

ALL = Rules(side=0.02, area=0.0)


def bumps(side: int, *at: tuple[float, float, float, float]) -> Array:
    """Give a map with bumps: x, y and width as shares of the side, and height."""
    y, x = np.mgrid[0:side, 0:side] / side
    return np.asarray(
        sum(
            height * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * width**2)) for cx, cy, width, height in at
        )
    )


@pytest.mark.parametrize("peak", [0.01, 0.6, 6.0, 300.0])
def test_the_height_of_a_map_does_not_move_its_box(peak: float) -> None:
    found = regions(bumps(14, (0.3, 0.5, 0.1, peak)), ALL)
    assert found == regions(bumps(14, (0.3, 0.5, 0.1, 1.0)), ALL)
    ((x0, y0, x1, y1),) = found[0]
    assert x0 < 0.3 < x1
    assert y0 < 0.5 < y1


def test_the_released_way_wraps_what_is_larger_than_one() -> None:
    low, high = (regions(bumps(14, (0.3, 0.5, 0.1, peak)), ALL, heat="wrapped") for peak in (0.9, 6.0))
    assert low[0] != high[0]


def test_regions_come_by_size_and_no_more_than_asked() -> None:
    two = bumps(28, (0.2, 0.2, 0.05, 1.0), (0.7, 0.7, 0.12, 1.0))
    first, second = regions(two, ALL)[0]
    assert first[0] > 0.4 > second[0]
    assert regions(two, Rules(most=1, side=0.02, area=0.0))[0] == [first]
    assert regions(two, Rules(most=0))[0] == []


def test_what_is_too_small_or_nearly_the_whole_map_is_no_region() -> None:
    small = bumps(28, (0.5, 0.5, 0.02, 1.0))
    assert regions(small, ALL)[0] != []
    assert regions(small, Rules(side=0.3))[0] == []
    frame = np.ones((8, 8))
    frame[0, 0] = 0
    assert regions(frame, ALL)[0] == []


def test_what_lies_in_the_hole_of_another_region_is_part_of_it() -> None:
    ring = np.zeros((32, 32))
    ring[4:28, 4:28], ring[7:25, 7:25], ring[14:18, 14:18] = 1, 0, 1
    assert len(regions(ring, Rules(overlap=1.0, whole=1.0, side=0.02, area=0.0))[0]) == 1


@pytest.mark.parametrize("values", [np.zeros((7, 7)), np.full((7, 7), 3.0), np.ones((1, 1)), np.ones((1, 9))])
def test_a_map_that_says_nothing_has_no_region(values: Array) -> None:
    assert regions(values, ALL) == ([], 0.0)


def test_a_map_that_is_nowhere_positive_is_scaled_from_its_lowest() -> None:
    assert regions(bumps(14, (0.3, 0.5, 0.1, 1.0)) - 5.0, ALL)[0] != []
