"""The tiny painter: how it loads, what it weighs, and that it paints what it is asked for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from belvedere.demo import PAINTER_GUIDANCE, PAINTER_STEPS, painter_dir
from belvedere.demo.judge_painter import asked_scenes, judge, paint, sheet

PAINTED = 60
BARS = {"shape": 0.6, "colour": 0.8, "number": 0.6, "background": 0.8}


@pytest.fixture(scope="module")
def painted() -> NDArray[np.uint8]:
    prompts = [each.caption for each in asked_scenes(PAINTED)]
    return paint(painter_dir(), prompts, steps=PAINTER_STEPS, guidance=PAINTER_GUIDANCE)


@pytest.fixture(scope="module")
def shares(painted: NDArray[np.uint8]) -> Mapping[str, float]:
    return judge(painted, asked_scenes(PAINTED))


@pytest.mark.parametrize("attribute", list(BARS))
def test_it_paints_what_a_caption_asks_for(attribute: str, shares: Mapping[str, float]) -> None:
    assert shares[attribute] >= BARS[attribute]


def test_real_scenes_are_judged_as_what_they_are() -> None:
    scenes = asked_scenes(120)
    shares = judge(np.stack([each.pixels() for each in scenes]), scenes)
    assert {name for name, share in shares.items() if share >= 0.85} == set(shares)


def test_it_is_a_pipeline_that_any_release_of_transformers_opens() -> None:
    told = json.loads((painter_dir() / "model_index.json").read_text())
    assert told["_class_name"] == "StableDiffusionPipeline"
    assert told["tokenizer"] == ["transformers", "PreTrainedTokenizerFast"]
    assert told["safety_checker"] == [None, None]


@pytest.mark.parametrize("scheduler", ["DDIMScheduler", "UniPCMultistepScheduler"])
def test_other_schedulers_paint_as_well(scheduler: str) -> None:
    scenes = asked_scenes(15)
    prompts = [each.caption for each in scenes]
    pictures = paint(painter_dir(), prompts, steps=15, guidance=PAINTER_GUIDANCE, scheduler=scheduler)
    shares = judge(pictures, scenes)
    assert min(shares["colour"], shares["background"]) >= 0.8


def test_it_is_small() -> None:
    files = [file for file in Path(painter_dir()).rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) <= 13_000_000


def test_a_sheet_lays_pictures_out_in_rows(painted: NDArray[np.uint8]) -> None:
    laid = np.asarray(sheet(painted[:20]))
    assert laid.shape == (128, 640, 3)
    np.testing.assert_array_equal(laid[64:, 128:192], painted[12])
