"""Where patches lie is what the model's own preprocessing says, and maps are stretched as torch stretches."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image

from belvedere.compute.images.geometry import Window, window
from belvedere.compute.images.patches import grid_of, input_size, seen_part
from belvedere.compute.images.stretch import at_input, over_input, over_picture
from belvedere.store.errors import UnsupportedTower
from belvedere.store.sets import Model, TowerShape

SIZES = [(64, 64), (200, 120), (120, 201), (37, 90), (333, 47)]


def model(size: Any = 48, mode: str | None = "shortest", patch: int = 8) -> Model:
    facts: dict[str, Any] = {"size": size, "mean": [0.5] * 3, "std": [0.25] * 3, "resize_mode": mode}
    grid = (size // patch, size // patch) if isinstance(size, int) else (size[0] // patch, size[1] // patch)
    tokens = grid[0] * grid[1] + 1
    tower = TowerShape(layers=1, heads=1, head_dim=4, width=4, joint=4, tokens=tokens, grid=grid)
    architecture = {"vision_cfg": {"image_size": size, "patch_size": patch}}
    image = {"preprocessing": facts, "architecture": architecture}
    return cast("Model", SimpleNamespace(name="m", shape=tower, image=image))


def transformed(of: Model, picture: Image.Image) -> np.ndarray[Any, Any]:
    facts = {
        **of.image["preprocessing"],
        "resize_mode": of.image["preprocessing"]["resize_mode"] or "shortest",
    }
    pixels: np.ndarray[Any, Any] = image_transform_v2(PreprocessCfg(**facts), is_train=False)(picture).numpy()
    return pixels


@pytest.mark.parametrize("mode", ["shortest", "squash", "longest", None])
@pytest.mark.parametrize("size", [48, [48, 32], [32, 56]])
def test_the_part_that_is_seen_is_what_preprocessing_itself_lets_through(mode: str | None, size: Any) -> None:
    of = model(size, mode)
    for width, height in SIZES:
        seen = seen_part(of, width, height)
        asked = window(lambda picture: transformed(of, picture), width, height)
        if asked is None:  # of a strip that padding leaves few pixels of, it cannot be told
            tall, wide = size if isinstance(size, list) else (size, size)
            assert mode == "longest"
            assert min(width, height) * min(wide / width, tall / height) < 12
            continue
        wanted = (asked.left, asked.top, asked.right, asked.bottom)
        patches = [abs(seen.right - seen.left) / 7, abs(seen.bottom - seen.top) / 7]
        assert np.allclose(
            (seen.left, seen.top, seen.right, seen.bottom), wanted, atol=max(1.5, *patches) / 4
        )


@pytest.mark.parametrize("size", [20, [16, 20], [20, 16]])
def test_patches_that_leave_a_margin_are_laid_on_no_picture(size: Any) -> None:
    of = model(size, patch=8)
    assert grid_of(of) == (2, 2)  # what they add is known all the same
    for ask in (input_size, lambda of: seen_part(of, 40, 40)):
        with pytest.raises(UnsupportedTower, match="patches of 8 × 8 pixels do not cover its input of"):
            ask(of)


def test_a_mask_comes_out_where_preprocessing_puts_what_it_masks() -> None:
    for mode in ("shortest", "squash", "longest"):
        of = model(48, mode)
        for width, height in SIZES:
            mask = np.zeros((height, width), bool)
            mask[height // 4 : height // 2, width // 3 : width // 2 + 4] = True
            picture = Image.fromarray(np.repeat(mask[..., None], 3, 2).astype(np.uint8) * 255)
            white = transformed(of, picture)[0] > 0
            found, there = at_input(mask, seen_part(of, width, height), input_size(of))
            assert (found != white).mean() < 0.06
            padded = transformed(of, Image.new("RGB", (width, height), "white"))[0] < 0
            assert (there == padded).mean() < 0.03


def test_a_squashed_mask_is_resized_as_pillow_resizes_it() -> None:
    mask = np.random.default_rng(0).random((37, 90)) < 0.4
    found, there = at_input(mask, Window(0, 0, 90, 37), (48, 48))
    resized = Image.fromarray(mask.astype(np.uint8)).resize((48, 48), Image.Resampling.NEAREST)
    np.testing.assert_array_equal(found, np.asarray(resized, bool))
    assert there.all()


def test_maps_are_stretched_as_torch_stretches_them() -> None:
    maps = np.random.default_rng(1).normal(0.3, 1, (2, 6, 4))
    for size in ((48, 32), (7, 5), (6, 4)):
        torchs = torch.nn.functional.interpolate(
            torch.from_numpy(maps)[None], size, mode="bilinear", align_corners=False
        )[0]
        np.testing.assert_allclose(over_input(maps, size), torchs.numpy(), atol=1e-12)
        seen = Window(0, 0, size[1], size[0])
        np.testing.assert_allclose(over_picture(maps, seen, size[1], size[0]), torchs.numpy(), atol=1e-12)


def test_a_map_lies_on_the_part_of_the_picture_that_is_seen() -> None:
    across = np.arange(6.0)[None].repeat(6, 0)
    over = over_picture(across, Window(20, 0, 80, 60), 100, 60)
    assert np.isnan(over[:, :20]).all()
    assert np.isnan(over[:, 80:]).all()
    np.testing.assert_allclose(over[0, 25:75], (np.arange(25, 75) + 0.5 - 20) / 10 - 0.5)
    padded = over_picture(across, Window(0, -20, 60, 40), 60, 20)
    assert not np.isnan(padded).any()
    small = over_picture(across, Window(20, 0, 80, 60), 100, 60, shape=(6, 10))
    np.testing.assert_allclose(small[0, 2:8], np.arange(6.0))
    assert np.isnan(small[:, [0, 1, 8, 9]]).all()


def test_patches_in_no_known_order_and_other_preprocessing_are_refused() -> None:
    assert grid_of(model([48, 32])) == (6, 4)
    nowhere = model()
    cast("Any", nowhere).shape = replace(nowhere.shape, grid=None)
    with pytest.raises(UnsupportedTower, match="its 36 patches are in no known order"):
        grid_of(nowhere)
    other = model()
    cast("Any", other).image = {"preprocessing": {"crop_pct": 0.9}}
    with pytest.raises(
        UnsupportedTower, match=r"known for open_clip's preprocessing only, and it has crop_pct=0.9"
    ):
        seen_part(other, 10, 10)
