"""What a model is said to see of a square picture is what its own preprocessing lets through."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
import transformers as of_transformers
from numpy.typing import NDArray
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from timm.data import create_transform  # type: ignore[attr-defined]
from torchvision.transforms._presets import ImageClassification

from belvedere.compute.seen import middle, seen_share
from belvedere.store.errors import UnknownPreprocessing
from belvedere.store.sets import Model

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


def transformers(name: str, **facts: Any) -> tuple[dict[str, Any], Callable[[Image.Image], torch.Tensor]]:
    plain = {"image_mean": [0.0] * 3, "image_std": [1.0] * 3, "resample": 2}
    processor = getattr(of_transformers, name)(**facts, **plain)

    def transform(picture: Image.Image) -> torch.Tensor:
        pixels: torch.Tensor = processor(images=picture, return_tensors="pt")["pixel_values"][0]
        return pixels

    return {"preprocessor_config": processor.to_dict()}, transform


def named(preprocessing: Mapping[str, Any]) -> Model:
    return cast("Model", SimpleNamespace(name="m", image={"preprocessing": preprocessing}))


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
        transformers("ViTImageProcessor", size={"height": 48, "width": 48}),
        transformers("CLIPImageProcessor", size={"shortest_edge": 48}, crop_size=48),
        transformers("CLIPImageProcessor", size={"shortest_edge": 64}, crop_size={"height": 48, "width": 48}),
        transformers("ConvNextImageProcessor", size={"shortest_edge": 48}, crop_pct=0.75),
    ],
)
def test_masks_are_cut_to_what_the_model_sees(made: Any) -> None:
    facts, transform = made
    across: NDArray[Any] = np.linspace(0, 255, SIDE)[None, :, None].repeat(SIDE, 0).repeat(3, 2)
    pixels = transform(Image.fromarray(across.round().astype(np.uint8)))[0].numpy()
    places: Any = np.broadcast_to(np.arange(SIDE), (SIDE, SIDE))
    kept = middle(places, seen_share(named(facts)))
    first, last = kept[0, 0], kept[0, -1]
    step = (pixels[0, -1] - pixels[0, 0]) / (pixels.shape[1] - 1)  # what is seen is a part of the slope
    edges = (pixels[0, 0] - step / 2) * (SIDE - 1), (pixels[0, -1] + step / 2) * (SIDE - 1)
    assert abs(first - 0.5 - edges[0]) <= 1
    assert abs(last + 0.5 - edges[1]) <= 1


def test_preprocessing_that_says_nothing_of_it_is_refused() -> None:
    with pytest.raises(
        UnknownPreprocessing, match=r"part of a picture 'm' sees is not known: .* has mean, std"
    ):
        seen_share(named({"std": 1, "mean": 0}))
    with pytest.raises(UnknownPreprocessing, match="lets 112% of a picture's side through"):
        seen_share(named({"crop_pct": 1.12}))
    assert seen_share(named({"transform_id": "mine"})) == 1
