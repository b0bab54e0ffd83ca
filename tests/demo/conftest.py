"""The demo's scenes and model, opened once for all its tests."""

import warnings
from collections.abc import Sequence

import numpy as np
import open_clip
import pytest
from numpy.typing import NDArray
from opened import Opened

from belvedere.demo import clip_dir, scenes


@pytest.fixture(scope="session")
def clip() -> Opened:
    name = f"local-dir:{clip_dir()}"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model, _, preprocess = open_clip.create_model_and_transforms(name)
        tokenizer = open_clip.get_tokenizer(name)
    return Opened(model.eval(), preprocess, tokenizer)


@pytest.fixture(scope="session")
def tests() -> Sequence[scenes.Scene]:
    return scenes.test_scenes()


@pytest.fixture(scope="session")
def pixels(tests: Sequence[scenes.Scene]) -> NDArray[np.uint8]:
    return np.stack([scene.pixels() for scene in tests])
