"""Training of the painter: its parts, its prompts, and that it can be taken up again."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import load_file

from belvedere.demo import clip_dir
from belvedere.demo.batches import open_pool
from belvedere.demo.captions import caption, prompt
from belvedere.demo.dice import Dice
from belvedere.demo.diffusion import new_vae, text_encoder, whiten
from belvedere.demo.prompts import painter_prompt
from belvedere.demo.scenes import scene
from belvedere.demo.tokenizer import build_tokenizer
from belvedere.demo.train_painter import Schedule, rate, scaled, scenes_without_bias, train
from belvedere.demo.words import VALUES
from belvedere.demo.zeroshot import truth
from tests.opened import Opened


def test_the_pool_carries_no_bias(tmp_path: Path) -> None:
    scenes = scenes_without_bias(400)
    backgrounds = {each.background for each in scenes if each.shape == "star"}
    assert backgrounds == set(VALUES["background"])
    pool = open_pool(tmp_path, 6, scenes_without_bias)
    np.testing.assert_array_equal(pool.pixels, np.stack([each.pixels() for each in scenes[:6]]))
    np.testing.assert_array_equal(pool.codes, truth(scenes[:6]))


def test_the_rate_rises_stays_and_falls_in_the_last_quarter() -> None:
    schedule = Schedule(steps=400, images=1, peak=2.0)
    rates = [rate(step, schedule) for step in range(400)]
    assert rates[29:300] == [2.0] * 271
    np.testing.assert_allclose(rates[:30], 2.0 * np.arange(1, 31) / 30)
    np.testing.assert_allclose(rates[300:], 2.0 * np.arange(100, 0, -1) / 100)


def test_an_autoencoder_that_has_learnt_nothing_keeps_colours() -> None:
    torch.manual_seed(0)
    pictures = scaled(np.stack([scene(index).pixels() for index in range(8)]))
    with torch.inference_mode():
        vae = new_vae()
        latents = vae.encode(pictures).latent_dist.mean
        back = vae.decode(latents).sample
    assert tuple(latents.shape) == (8, 6, 16, 16)
    before, after = (torch.nn.functional.avg_pool2d(each, 4).flatten() for each in (pictures, back))
    assert torch.corrcoef(torch.stack([before, after]))[0, 1] > 0.95


def test_white_latents_stand_for_the_same_pictures() -> None:
    torch.manual_seed(0)
    vae = new_vae()
    pictures = scaled(np.stack([scene(index).pixels() for index in range(8)]))
    with torch.inference_mode():
        raw = vae.encode(pictures).latent_dist.mean
        before = vae.decode(raw).sample
        white = whiten(vae, raw)
        again = vae.encode(pictures).latent_dist.mean
        after = vae.decode(again).sample
    flat = white.transpose(0, 1).flatten(1)
    torch.testing.assert_close(flat.mean(dim=1), torch.zeros(6), atol=1e-4, rtol=0)
    torch.testing.assert_close(torch.cov(flat), torch.eye(6), atol=1e-3, rtol=0)
    torch.testing.assert_close(again, white, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(after, before, atol=1e-3, rtol=1e-3)


def test_the_text_encoder_begins_as_the_text_tower_of_the_clip(clip: Opened) -> None:
    tokenizer = build_tokenizer()
    told = json.loads((clip_dir() / "open_clip_config.json").read_text())["model_cfg"]["text_cfg"]
    encoder = text_encoder(load_file(clip_dir() / "open_clip_model.safetensors"), told, tokenizer)
    model = open_clip.create_model(f"local-dir:{clip_dir()}").eval()
    ids = clip.tokenizer(["three red stars on sand", ""])
    with torch.inference_mode():
        states = model.transformer(
            model.token_embedding(ids) + model.positional_embedding, attn_mask=model.attn_mask
        )
        expected = model.ln_final(states)
        torch.testing.assert_close(encoder(ids).last_hidden_state, expected, atol=1e-4, rtol=1e-4)


def test_prompts_are_true_of_their_scenes_and_of_every_kind() -> None:
    attributes = scene(3).attributes
    prompts = [painter_prompt(attributes, Dice(0, number)) for number in range(2000)]
    assert 0.08 < prompts.count("") / 2000 < 0.12
    assert 0.22 < prompts.count(caption(attributes)) / 2000 < 0.28
    assert {prompt(name, value) for name, value in attributes.items()} <= set(prompts)
    strange = [value for value in VALUES["colour"] if value != attributes["colour"]]
    assert not any(value in text.split() for text in prompts for value in strange)
    assert painter_prompt(attributes, Dice(0, 5)) == prompts[5]


def _short(out: Path, work: Path, until: int) -> None:
    train(
        out,
        work,
        pool_size=6,
        vae=Schedule(steps=2, images=2, peak=1e-3),
        unet=Schedule(steps=4, images=3, peak=1e-3),
        until=until,
    )


@pytest.fixture
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_training_stopped_and_taken_up_again_ends_alike(tmp_path: Path) -> None:
    _short(tmp_path / "whole", tmp_path / "a", until=4)
    _short(tmp_path / "parts", tmp_path / "b", until=2)
    _short(tmp_path / "parts", tmp_path / "b", until=4)
    _short(tmp_path / "again", tmp_path / "b", until=4)
    whole, parts, again = (_contents(tmp_path / name) for name in ("whole", "parts", "again"))
    assert "unet/diffusion_pytorch_model.safetensors" in whole
    assert whole == parts == again


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
