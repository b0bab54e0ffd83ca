"""Preprocessing is asked where a picture's pixels lie in what it makes of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytest
import transformers
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image, ImageOps
from timm.data import create_transform  # type: ignore[attr-defined]
from torchvision.transforms import v2
from torchvision.transforms._presets import ImageClassification

from belvedere.compute.images.geometry import Window, Windows, window
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


def timm(**facts: Any) -> Callable[[Image.Image], Any]:
    data = {"input_size": (3, 56, 56), "interpolation": "bilinear", "crop_mode": "center", **facts}
    made: Any = create_transform(**data, mean=(0, 0, 0), std=(1, 1, 1), is_training=False)
    return cast("Callable[[Image.Image], Any]", made)


def torchvision(**facts: Any) -> Callable[[Image.Image], Any]:
    made: Any = ImageClassification(**facts, mean=(0, 0, 0), std=(1, 1, 1))
    return cast("Callable[[Image.Image], Any]", made)


def open_clip(mode: Any) -> Callable[[Image.Image], Any]:
    facts = PreprocessCfg(size=(48, 48), resize_mode=mode, mean=(0, 0, 0), std=(1, 1, 1))
    return cast("Callable[[Image.Image], Any]", image_transform_v2(facts, is_train=False))


def of_transformers(name: str, **facts: Any) -> Callable[[Image.Image], Any]:
    plain = {"image_mean": [0.0] * 3, "image_std": [1.0] * 3, "resample": 2}
    processor = getattr(transformers, name)(**facts, **plain)
    return lambda picture: processor(images=picture, return_tensors="pt")["pixel_values"][0]


@pytest.mark.parametrize(
    ("transform", "wide"),
    [
        (timm(crop_pct=0.875), (20, 4, 76, 60)),
        (timm(crop_pct=1.0), (16, 0, 80, 64)),
        (timm(crop_pct=0.875, crop_mode="squash"), (6, 4, 90, 60)),
        (torchvision(crop_size=56, resize_size=64), (20, 4, 76, 60)),
        (torchvision(crop_size=48, resize_size=96), (32, 16, 64, 48)),
        (open_clip("shortest"), (16, 0, 80, 64)),
        (open_clip("squash"), (0, 0, 96, 64)),
        (open_clip("longest"), (0, -16, 96, 80)),
        (of_transformers("ViTImageProcessor", size={"height": 48, "width": 48}), (0, 0, 96, 64)),
        (of_transformers("CLIPImageProcessor", size={"shortest_edge": 48}, crop_size=48), (16, 0, 80, 64)),
        (of_transformers("CLIPImageProcessor", size={"shortest_edge": 64}, crop_size=48), (24, 8, 72, 56)),
        (
            of_transformers("ConvNextImageProcessor", size={"shortest_edge": 48}, crop_pct=0.75),
            (24, 8, 72, 56),
        ),
    ],
)
def test_the_libraries_preprocessing_keeps_what_it_says(
    transform: Callable[[Image.Image], Any], wide: tuple[int, ...]
) -> None:
    windows = Windows(transform)
    found = windows.of(96, 64)
    assert found is not None
    assert np.allclose((found.left, found.top, found.right, found.bottom), wide, atol=1)
    assert windows.of(96, 64) is found


@pytest.mark.parametrize(("width", "height"), [(451, 503), (300, 200), (120, 700), (64, 64)])
@pytest.mark.parametrize("side", [64, 224])
def test_padding_that_is_resized_with_the_picture_is_told_from_it(side: int, width: int, height: int) -> None:
    def square(picture: Image.Image) -> Image.Image:
        return ImageOps.pad(picture, (max(picture.size),) * 2)

    found = window(prepared(square, v2.Resize((side, side))), width, height)  # type: ignore[arg-type]
    longest = max(width, height)
    left, top = (width - longest) / 2, (height - longest) / 2
    assert found is not None
    wanted = (left, top, left + longest, top + longest)
    assert np.allclose((found.left, found.top, found.right, found.bottom), wanted, atol=longest / side / 4)


def test_of_a_strip_that_padding_leaves_no_part_is_told() -> None:
    def square(picture: Image.Image) -> Image.Image:
        return ImageOps.pad(picture, (max(picture.size),) * 2)

    assert window(prepared(square, v2.Resize((32, 32))), 640, 40) is None  # type: ignore[arg-type]
