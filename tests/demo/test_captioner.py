"""The captioner: its lessons, its eyes, its training, and how its captions are judged."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file

from belvedere.demo import blip, captioner_dir, clip_dir
from belvedere.demo.batches import normalise, open_pool
from belvedere.demo.captions import named_rightly
from belvedere.demo.crops import open_outlines
from belvedere.demo.scenes import scene, training_scenes
from belvedere.demo.train_captioner import make_lesson, shelve, train
from belvedere.demo.training import Schedule
from belvedere.demo.words import VALUES
from belvedere.demo.zeroshot import truth


def test_a_lesson_is_a_function_of_its_step(tmp_path: Path) -> None:
    pool, drawn = open_pool(tmp_path, 30), open_outlines(tmp_path, 30)
    shelves = shelve(pool.codes)
    lesson, again = (make_lesson(pool, shelves, drawn, 3, 20) for _ in range(2))
    assert lesson.captions == again.captions
    torch.testing.assert_close(lesson.pictures, again.pictures, rtol=0, atol=0)
    assert lesson.pictures.shape == (20, 3, 64, 64)
    whole = {each.caption for each in training_scenes(30)}
    assert set(lesson.captions[8:]) <= whole
    assert lesson.captions != make_lesson(pool, shelves, drawn, 4, 20).captions


def test_shapes_and_backgrounds_are_taken_equally_often() -> None:
    codes = truth(training_scenes(400))
    shelves = shelve(codes)
    assert sorted(row for shelf in shelves for row in shelf) == list(range(400))
    for shelf in shelves:
        assert len({(shape, ground) for shape, ground in codes[shelf][:, [0, 4]].tolist()}) == 1
    assert len(shelves) > 40


def test_the_eyes_begin_as_those_of_the_clip() -> None:
    """With a spread of its own for each token the two towers would be the same; with one they are close."""
    import open_clip

    pictures = normalise(np.stack([scene(index).pixels() for index in range(20)]))
    clip = open_clip.create_model(f"local-dir:{clip_dir()}").visual.eval()
    model = blip.build(blip.captions_tokenizer())
    blip.lend_eyes(model, blip.usual_spread(pictures))
    file = load_file(clip_dir() / "open_clip_model.safetensors")
    with torch.inference_mode():
        wanted = clip(pictures)
        pooled = model.vision_model(pictures).last_hidden_state[:, 0] @ file["visual.proj"].float()
    alike = torch.nn.functional.cosine_similarity(pooled, wanted)
    others = torch.nn.functional.cosine_similarity(pooled, wanted.roll(1, 0))
    assert float(alike.mean()) > float(others.mean()) + 0.2


def test_captions_are_judged_by_the_words_of_each_attribute() -> None:
    scenes = [scene(index) for index in range(40)]
    right = [each.caption for each in scenes]
    assert named_rightly(right, right) == dict.fromkeys(VALUES, 1.0)
    shown = scenes[0].attributes
    other = next(value for value in VALUES["colour"] if value != shown["colour"])
    wrong = right[0].replace(shown["colour"], other)
    both = f"{right[0]} and {other}"
    for said in (wrong, both, right[0].replace(shown["colour"], "")):
        shares = named_rightly([said, *right[1:]], right)
        assert shares == {name: 1.0 if name != "colour" else 39 / 40 for name in VALUES}


def _short(out: Path, work: Path, until: int) -> None:
    train(out, work, Schedule(4, until, 1e-3), images=10, pool_size=10, held_out_size=4)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Writing model shards")
def test_training_stopped_and_taken_up_again_ends_alike(tmp_path: Path) -> None:
    _short(tmp_path / "whole", tmp_path / "a", until=4)
    _short(tmp_path / "parts", tmp_path / "b", until=2)
    _short(tmp_path / "parts", tmp_path / "b", until=4)
    names = sorted(file.name for file in (tmp_path / "whole").iterdir())
    assert names == sorted(file.name for file in (tmp_path / "parts").iterdir())
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= set(names)
    for name in names:
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "parts" / name).read_bytes()


def test_the_saved_captioner_is_small_and_opens_with_the_library_alone() -> None:
    assert sum(file.stat().st_size for file in captioner_dir().iterdir()) < 4_000_000
    model = transformers.BlipForConditionalGeneration.from_pretrained(captioner_dir())
    assert {weight.dtype for weight in model.parameters()} == {torch.float16}
    processor: Any = transformers.BlipProcessor.from_pretrained(captioner_dir())
    pixels = processor(images=[scene(0).image()], return_tensors="pt")["pixel_values"]
    torch.testing.assert_close(pixels, normalise(scene(0).pixels()[None]), rtol=0, atol=1e-5)
