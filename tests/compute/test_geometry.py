"""Preprocessing is asked where a picture's pixels lie in what it makes of it."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageOps
from torchvision.transforms import v2

from belvedere.compute.geometry import Window, window
from belvedere.store.views import Array

NORMALISE = v2.Compose(
    [v2.PILToTensor(), v2.ConvertImageDtype(), v2.Normalize([0.5, 0.4, 0.3], [0.2, 0.3, 0.4])]
)


def prepared(*before: object) -> object:
    """Give a preprocessing: these steps, then numbers around zero."""
    chain = v2.Compose([*before, NORMALISE])

    def run(picture: Image.Image) -> Array:
        return np.asarray(chain(picture).numpy())

    return run


@pytest.mark.parametrize(
    ("before", "size", "wanted"),
    [
        ([], (60, 40), (0, 0, 60, 40)),
        ([v2.Resize((32, 32))], (400, 300), (0, 0, 400, 300)),
        ([v2.CenterCrop(40)], (60, 50), (10, 5, 50, 45)),
        ([v2.Resize(256), v2.CenterCrop(224)], (512, 512), (32, 32, 480, 480)),
        ([v2.Resize(256), v2.CenterCrop(224)], (640, 320), (180, 20, 460, 300)),
        ([v2.CenterCrop(80)], (60, 60), (-10, -10, 70, 70)),
        ([ImageOps.mirror], (60, 40), (60, 0, 0, 40)),
    ],
)
def test_the_part_that_preprocessing_keeps_is_found_to_the_pixel(
    before: list[object], size: tuple[int, int], wanted: tuple[float, ...]
) -> None:
    found = window(prepared(*before), *size)  # type: ignore[arg-type]
    assert found is not None
    assert np.allclose((found.left, found.top, found.right, found.bottom), wanted, atol=1.5)


def test_a_region_is_placed_within_the_picture() -> None:
    seen = Window(-10, 20, 110, 80)
    assert seen.box((0, 0, 0.5, 0.5), 100, 100) == (0, 20, 50, 50)
    assert seen.box((0.9, 0.9, 1, 1), 100, 100) == (98, 74, 100, 80)


def test_of_preprocessing_that_keeps_nothing_straight_no_part_is_told() -> None:
    swirl = prepared(lambda picture: picture.rotate(30))
    assert window(swirl, 64, 64) is None  # type: ignore[arg-type]
