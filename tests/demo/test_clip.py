"""The tiny CLIP: how it loads, what it knows, what it weighs."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from numpy.typing import NDArray

from belvedere.demo import clip_dir, scenes
from belvedere.demo.batches import normalise
from belvedere.demo.descriptions import descriptions
from belvedere.demo.zeroshot import accuracy, embed_images, truth
from tests.opened import Opened

BARS = {"shape": 0.85, "colour": 0.98, "number": 0.95, "texture": 0.97, "background": 0.98}


@pytest.fixture(scope="session")
def embeddings(clip: Opened, pixels: NDArray[np.uint8]) -> torch.Tensor:
    return embed_images(clip.model, normalise(pixels))


def test_it_is_open_clips_own_model_with_a_class_token(clip: Opened) -> None:
    assert type(clip.model) is open_clip.CLIP
    visual = clip.model.visual
    assert type(visual).__name__ == "VisionTransformer"
    assert (visual.pool_type, visual.image_size, visual.patch_size) == ("tok", (64, 64), (8, 8))
    heads = [block.attn.num_heads for block in visual.transformer.resblocks]
    assert heads == [4, 4, 4, 4]
    assert tuple(visual.proj.shape) == (128, 64)


def test_its_preprocessing_is_the_one_it_was_trained_with(clip: Opened) -> None:
    scene = scenes.scene(0)
    torch.testing.assert_close(clip.preprocess(scene.image()), normalise(scene.pixels()[None])[0])


def test_its_tokenizer_puts_the_largest_id_at_the_end(clip: Opened) -> None:
    ids = clip.tokenizer(["red stars", "a picture with three blue circles in the night sky"])
    assert tuple(ids.shape) == (2, 24)
    assert ids.argmax(dim=1).tolist() == [3, 11]
    assert int(ids.max()) == clip.model.vocab_size - 1


def test_unknown_words_become_one_token_and_long_texts_are_cut(clip: Opened) -> None:
    ids = clip.tokenizer(["Zyzzyva!", "star " * 100])
    assert ids[0, :5].tolist() == [2, 1, 1, clip.model.vocab_size - 1, 0]
    assert int(ids[1, -1]) == clip.model.vocab_size - 1


@pytest.mark.parametrize("attribute", list(BARS))
def test_it_names_each_attribute_of_unseen_scenes(
    attribute: str, clip: Opened, embeddings: torch.Tensor, tests: Sequence[scenes.Scene]
) -> None:
    shares = accuracy(clip.model, clip.tokenizer, embeddings, truth(tests))
    assert shares[attribute] >= BARS[attribute]


def test_it_prefers_descriptions_of_scenes_to_distractors(clip: Opened, embeddings: torch.Tensor) -> None:
    pool = descriptions()
    with torch.inference_mode():
        texts = clip.model.encode_text(clip.tokenizer([text for text, _ in pool]), normalize=True)
    means = (embeddings @ texts.T).mean(dim=0).numpy()
    distractor = np.asarray([category == "distractor" for _, category in pool])
    assert means[distractor].max() < means[~distractor].mean()


def test_the_data_of_the_package_is_small() -> None:
    data = Path(clip_dir()).parent
    assert sum(file.stat().st_size for file in data.rglob("*") if file.is_file()) <= 25_000_000
    assert sorted(file.name for file in clip_dir().iterdir()) == [
        "open_clip_config.json",
        "open_clip_model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
