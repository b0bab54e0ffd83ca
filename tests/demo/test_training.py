"""Training: its loss, its batches, its pool, and that it can be taken up again."""

from pathlib import Path

import numpy as np
import open_clip
import torch
from numpy.typing import NDArray

from belvedere.demo.batches import MEAN, STD, make_batch, open_pool
from belvedere.demo.captions import prompt
from belvedere.demo.dice import Dice
from belvedere.demo.scenes import training_scenes
from belvedere.demo.train_clip import contrast, train
from belvedere.demo.words import VALUES
from belvedere.demo.zeroshot import truth


def _naive_contrast(logits: NDArray[np.float64], true: NDArray[np.bool_]) -> float:
    """Take the mean of -log softmax over true pairs, row by row and column by column."""
    halves = []
    for scores, pairs in ((logits, true), (logits.T, true.T)):
        losses = []
        for row, marks in zip(scores, pairs, strict=True):
            chances = np.exp(row) / np.exp(row).sum()
            if marks.any():
                losses.append(
                    np.mean([-np.log(chance) for chance, mark in zip(chances, marks, strict=True) if mark])
                )
        halves.append(np.mean(losses))
    return float(np.mean(halves))


def test_the_loss_is_the_mean_over_true_pairs_of_both_directions() -> None:
    random = np.random.default_rng(0)
    logits, true = random.normal(1, 3, (5, 7)), random.random((5, 7)) < 0.4
    true[2], true[:, 3] = False, False
    found = contrast(torch.from_numpy(logits), torch.from_numpy(true))
    np.testing.assert_allclose(float(found), _naive_contrast(logits, true), rtol=1e-6)


def test_the_pool_is_painted_once(tmp_path: Path) -> None:
    pool = open_pool(tmp_path, 12)
    scenes = training_scenes(12)
    np.testing.assert_array_equal(pool.pixels, np.stack([scene.pixels() for scene in scenes]))
    np.testing.assert_array_equal(pool.codes, truth(scenes))
    before = (tmp_path / "pixels-12.npy").stat().st_mtime_ns
    assert open_pool(tmp_path, 12).pixels.shape == (12, 64, 64, 3)
    assert (tmp_path / "pixels-12.npy").stat().st_mtime_ns == before


def test_the_normalisation_fits_the_training_scenes() -> None:
    colours = np.stack([scene.pixels() for scene in training_scenes(300)]) / 255
    np.testing.assert_allclose(colours.mean(axis=(0, 1, 2)), MEAN, atol=0.015)
    np.testing.assert_allclose(colours.std(axis=(0, 1, 2)), STD, atol=0.015)


def test_a_batch_is_a_function_of_its_step_and_knows_what_is_true(tmp_path: Path) -> None:
    pool = open_pool(tmp_path, 40)
    batch, again = make_batch(pool, 3, 32), make_batch(pool, 3, 32)
    assert batch.texts == again.texts
    torch.testing.assert_close(batch.pictures, again.pictures, rtol=0, atol=0)
    assert batch.truth.shape == (32, len(batch.texts))
    assert batch.truth[:16, 32:48].diagonal().all()
    assert not batch.truth[:, 48:].any()
    assert batch.texts != make_batch(pool, 4, 32).texts


def test_a_text_is_true_of_the_pictures_that_have_what_it_names(tmp_path: Path) -> None:
    pool = open_pool(tmp_path, 40)
    seen = set()
    for step in range(60):
        batch = make_batch(pool, step, 32)
        for column, text in enumerate(batch.texts[:32]):
            for place, value in enumerate(VALUES["colour"]):
                if text == prompt("colour", value):
                    seen.add(value)
                    assert int(batch.truth[:, column].sum()) == _drawn(pool.codes, step, 1, place)
    assert len(seen) >= 2


def _drawn(codes: NDArray[np.int64], step: int, attribute: int, code: int) -> int:
    """Count the pictures of a step that have this value."""
    dice = Dice(0, step)
    return sum(int(codes[dice.below(len(codes)), attribute] == code) for _ in range(32))


def _short(out: Path, work: Path, until: int) -> None:
    train(out, work, steps=4, until=until, images=10, pool_size=10, held_out_size=10, peak=1e-3)


def test_training_stopped_and_taken_up_again_ends_alike(tmp_path: Path) -> None:
    _short(tmp_path / "whole", tmp_path / "a", until=4)
    _short(tmp_path / "parts", tmp_path / "b", until=2)
    _short(tmp_path / "parts", tmp_path / "b", until=4)
    names = sorted(file.name for file in (tmp_path / "whole").iterdir())
    assert names == sorted(file.name for file in (tmp_path / "parts").iterdir())
    for name in names:
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "parts" / name).read_bytes()
    model = open_clip.create_model(f"local-dir:{tmp_path / 'whole'}")
    assert sum(weight.numel() for weight in model.parameters()) < 2_000_000


def test_training_that_has_come_to_its_end_is_saved_wherever_it_is_asked_for(tmp_path: Path) -> None:
    _short(tmp_path / "first", tmp_path / "work", until=2)
    _short(tmp_path / "second", tmp_path / "work", until=2)
    first, second = (
        {file.name: file.read_bytes() for file in (tmp_path / name).iterdir()} for name in ("first", "second")
    )
    assert "open_clip_model.safetensors" in first
    assert first == second
