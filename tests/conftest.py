"""Worlds made once: a small random one with a filled store, and the demo's scenes and model."""

from __future__ import annotations

import gc
import shutil
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from numpy.typing import NDArray

import belvedere
from belvedere.demo import clip_dir, scenes
from tests.opened import Opened
from tests.worlds import World, add_pictures, make_clip

gc.set_threshold(200_000, 50, 100)  # the libraries hold a million objects, and each look at them takes long
pytest_plugins = ["tests.crew", "tests.shell"]
PAGE = "page_shows_what_really_comes_out"
settings.register_profile("calm", deadline=None)  # a machine may be busy with other things
settings.load_profile("calm")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run pages first, which take longest, so that no processor waits for one of them in the end."""
    items.sort(key=lambda item: PAGE not in item.name)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A random model of two layers, and 300 pictures: one full unit of 256 and one of 44."""
    import torch

    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("world")
    return World(make_clip(folder / "clip"), add_pictures(folder / "photos", range(300)))


@pytest.fixture(scope="session")
def added_once(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of the small world in which nothing is computed; not to be written to."""
    store = world.store(tmp_path_factory.mktemp("added") / "store")
    store.close()
    return store.path


@pytest.fixture
def store(added_once: Path, tmp_path: Path) -> belvedere.Store:
    """A copy of the store in which nothing is computed."""
    return belvedere.open(shutil.copytree(added_once, tmp_path / "store"))


@pytest.fixture(scope="session")
def filled_once(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of the small world in which everything is computed; not to be written to."""
    store = world.store(tmp_path_factory.mktemp("filled") / "store")
    for name in ("image_embeddings", "mlp_contributions", "residual_contributions", "head_descriptions"):
        assert store.view(name).fill(batch_size=64).complete
    store.close()
    return store.path


@pytest.fixture
def filled(filled_once: Path, tmp_path: Path) -> belvedere.Store:
    """A copy of the store in which everything is computed."""
    return belvedere.open(shutil.copytree(filled_once, tmp_path / "filled"))


@pytest.fixture(scope="session")
def kept(filled_once: Path) -> belvedere.Store:
    """The store in which everything is computed, open to read."""
    return belvedere.open(filled_once, mode="r")


@pytest.fixture(scope="session")
def clip() -> Opened:
    """The demo's model as open_clip's own loader gives it."""
    import open_clip

    name = f"local-dir:{clip_dir()}"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model, _, preprocess = open_clip.create_model_and_transforms(name)
        tokenizer = open_clip.get_tokenizer(name)
    return Opened(model.eval(), preprocess, tokenizer)


@pytest.fixture(scope="session")
def tests() -> Sequence[scenes.Scene]:
    """The demo's test scenes."""
    return scenes.test_scenes()


@pytest.fixture(scope="session")
def pixels(tests: Sequence[scenes.Scene]) -> NDArray[np.uint8]:
    """The demo's test scenes, painted: "image y x colour"."""
    return np.stack([scene.pixels() for scene in tests])
