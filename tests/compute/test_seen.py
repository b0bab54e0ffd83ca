"""What a model is said to see of a square picture is what its own preprocessing lets through."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from timm.data import create_transform  # type: ignore[attr-defined]
from torchvision.transforms._presets import ImageClassification

from belvedere.compute.seen import middle, seen_share
from belvedere.store.errors import BadSource

SIDE = 64


def timm(**facts: Any) -> tuple[dict[str, Any], Callable[[Image.Image], torch.Tensor]]:
    data = {"input_size": (3, 56, 56), "interpolation": "bilinear", "crop_mode": "center", **facts}
    return data, create_transform(**data, mean=(0, 0, 0), std=(1, 1, 1), is_training=False)


def torchvision(**facts: Any) -> tuple[dict[str, Any], Callable[[Image.Image], torch.Tensor]]:
    sizes = {name: [size] for name, size in facts.items()}
    return sizes, ImageClassification(**facts, mean=(0, 0, 0), std=(1, 1, 1))


def open_clip(mode: str) -> tuple[dict[str, Any], Callable[[Image.Image], torch.Tensor]]:
    facts = {"size": (48, 48), "resize_mode": mode, "mean": (0, 0, 0), "std": (1, 1, 1)}
    return facts, image_transform_v2(PreprocessCfg(**facts), is_train=False)


@pytest.mark.parametrize(
    "made",
    [
        timm(crop_pct=0.875),
        timm(crop_pct=0.7),
        timm(crop_pct=1.0),
        timm(crop_pct=0.875, crop_mode="squash"),
        torchvision(crop_size=56, resize_size=64),
        torchvision(crop_size=48, resize_size=96),
        open_clip("shortest"),
        open_clip("squash"),
        open_clip("longest"),
    ],
)
def test_masks_are_cut_to_what_the_model_sees(made: Any) -> None:
    facts, transform = made
    across: NDArray[Any] = np.linspace(0, 255, SIDE)[None, :, None].repeat(SIDE, 0).repeat(3, 2)
    pixels = transform(Image.fromarray(across.round().astype(np.uint8)))[0].numpy()
    places: Any = np.broadcast_to(np.arange(SIDE), (SIDE, SIDE))
    kept = middle(places, seen_share(facts))
    first, last = kept[0, 0], kept[0, -1]
    step = (pixels[0, -1] - pixels[0, 0]) / (pixels.shape[1] - 1)  # what is seen is a part of the slope
    edges = (pixels[0, 0] - step / 2) * (SIDE - 1), (pixels[0, -1] + step / 2) * (SIDE - 1)
    assert abs(first - 0.5 - edges[0]) <= 1
    assert abs(last + 0.5 - edges[1]) <= 1


def test_preprocessing_that_says_nothing_of_it_is_refused() -> None:
    with pytest.raises(BadSource, match=r"what part of a picture .* is not known: it has mean, std"):
        seen_share({"std": 1, "mean": 0})
    with pytest.raises(BadSource, match="lets 112% of a picture's side through"):
        seen_share({"crop_pct": 1.12})
    assert seen_share({"transform_id": "mine"}) == 1
