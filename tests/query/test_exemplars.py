"""Exemplars in MILAN's layout: the pictures, ids and activations of `top_images`, whole or not there."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import belvedere
from belvedere.query.exchange import exemplars
from belvedere.query.exchange.exemplars import square
from belvedere.store.errors import BadDestination, BadSelection, BadSource, PictureChanged, UnknownName
from tests.label_files import network, to_tensor
from tests.worlds import World, add_pictures

IMAGES = 20


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a network and twenty pictures; not to be written to."""
    folder = tmp_path_factory.mktemp("exemplars")
    store = belvedere.open(folder / "store")
    store.add_model("net", network(), transform=to_tensor, transform_id="16 × 16")
    store.add_images("photos", add_pictures(folder / "photos", range(IMAGES)))
    assert store.view("top_images", module="layer4").fill().complete
    return store.path


@pytest.fixture
def store(whole: Path, tmp_path: Path) -> belvedere.Store:
    """A copy of it."""
    copy = belvedere.open(shutil.copytree(whole, tmp_path / "store"))
    copy.add_model("net", network(), transform=to_tensor, transform_id="16 × 16")  # a store does not keep it
    return copy


def numbers(path: Path) -> NDArray[Any]:
    """Read a file of numbers as MILAN does."""
    return np.loadtxt(path, delimiter=",", ndmin=2)


def test_the_files_are_those_that_milan_reads(store: belvedere.Store, tmp_path: Path) -> None:
    done = store.export_exemplars(tmp_path / "out", module="layer4", k=3, side=16)
    folder = tmp_path / "out" / "layer4"
    assert (done.path, done.neurons, done.k, done.side, done.masked) == (folder, 8, 3, 16, False)
    names = {"images.npy", "masks.npy", "ids.csv", "activations.csv", "units.npy", "bundle.json"}
    assert {path.name for path in folder.iterdir()} == names
    rows = store.view("top_images", module="layer4", k=3).df()
    ids = rows.image_id.to_numpy().reshape(8, 3)
    images, masks = np.load(folder / "images.npy"), np.load(folder / "masks.npy")
    assert (images.dtype, images.shape, masks.dtype, masks.shape) == (
        *(np.uint8, (8, 3, 3, 16, 16)),
        *(np.uint8, (8, 3, 1, 16, 16)),
    )
    np.testing.assert_array_equal(numbers(folder / "ids.csv"), ids)
    np.testing.assert_array_equal(
        numbers(folder / "activations.csv").astype(np.float32), rows.activation.to_numpy().reshape(8, 3)
    )
    np.testing.assert_array_equal(np.load(folder / "units.npy"), np.arange(8))
    expected = [[np.asarray(store.image("photos", each)).transpose(2, 0, 1) for each in row] for row in ids]
    np.testing.assert_array_equal(images, np.array(expected))  # the pictures are of 16 pixels
    assert masks.min() == 1
    assert done.bytes == sum(path.stat().st_size for path in folder.iterdir())


def test_some_neurons_in_their_order_and_fewer_images_than_asked_for(
    store: belvedere.Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exemplars, "BLOCK", 2)
    every = store.export_exemplars(tmp_path / "all", module="layer4", k=100, side=8)
    some = store.export_exemplars(tmp_path / "some", module="layer4", neurons=[6, 0, 3, 6], k=100, side=8)
    assert (every.k, some.k, some.neurons) == (IMAGES, IMAGES, 3)
    assert np.load(some.path / "units.npy").tolist() == [6, 0, 3]
    for name in ("images.npy", "masks.npy"):
        np.testing.assert_array_equal(np.load(some.path / name), np.load(every.path / name)[[6, 0, 3]])
    np.testing.assert_array_equal(numbers(some.path / "ids.csv"), numbers(every.path / "ids.csv")[[6, 0, 3]])


def test_masks_are_asked_of_whoever_knows_them(store: belvedere.Store, tmp_path: Path) -> None:
    def masks(neuron: int, image_id: int, side: int) -> NDArray[Any]:
        found = np.zeros((side, side))
        found[neuron, image_id % side] = 0.5
        return found

    done = store.export_exemplars(tmp_path, module="layer4", neurons=[2, 5], k=2, side=10, masks=masks)
    ids, kept = numbers(done.path / "ids.csv").astype(int), np.load(done.path / "masks.npy")
    places = np.argwhere(kept[:, :, 0]).tolist()
    assert done.masked
    assert places == [[u, k, [2, 5][u], ids[u, k] % 10] for u in range(2) for k in range(2)]
    with pytest.raises(
        BadSource, match=r"mask of neuron 2 in image .* is 3 × 4; asked for was one of 10 × 10"
    ):
        store.export_exemplars(
            tmp_path / "bad", module="layer4", neurons=[2], k=2, side=10, masks=lambda *_: np.ones((3, 4))
        )
    assert [*(tmp_path / "bad").iterdir()] == []


def test_what_is_missing_is_filled_first(store: belvedere.Store, tmp_path: Path) -> None:
    done = store.export_exemplars(tmp_path, module="fc", k=2, side=4)
    assert done.neurons == 5
    assert store.view("top_images", module="fc").plan().units == 0


def test_pictures_are_cut_to_what_the_model_sees() -> None:
    pixels = np.zeros((40, 80, 3), np.uint8)
    pixels[:, 20:60], pixels[5:35, 25:55] = 100, 200
    picture = Image.fromarray(pixels)

    def colours(**facts: Any) -> list[int]:
        return sorted({*np.asarray(square(picture, {"preprocessing": facts}, 10)).ravel().tolist()})

    assert colours(resize_size=[256], crop_size=[192]) == [200]
    assert colours(crop_pct=0.75, crop_mode="center") == [200]
    assert min(colours()) == min(colours(resize_mode="shortest")) >= 95
    assert 0 in colours(resize_mode="squash")
    assert square(picture, {"imported": {}}, 7).size == (7, 7)


def test_what_cannot_be_written_is_refused_and_leaves_nothing(store: belvedere.Store, tmp_path: Path) -> None:
    for neurons, message in (
        ([8], "no neuron 8; 'layer4' has the neurons 0 to 7"),
        ([], "no neuron is named"),
    ):
        with pytest.raises(BadSelection, match=message):
            store.export_exemplars(tmp_path / "out", module="layer4", neurons=neurons)
    with pytest.raises(BadSource, match="side=0: a picture's side has at least 1 pixel"):
        store.export_exemplars(tmp_path / "out", module="layer4", side=0)
    with pytest.raises(BadSource, match="k=101: from 1 to 100"):
        store.export_exemplars(tmp_path / "out", module="layer4", k=101)
    with pytest.raises(UnknownName, match="did you mean 'layer4'"):
        store.export_exemplars(tmp_path / "out", module="layer5")
    with pytest.raises(BadDestination, match=r"out cannot be written: No such file"):
        store.export_exemplars(tmp_path / "none" / "out", module="layer4")
    assert not (tmp_path / "out").exists()


def test_exemplars_that_are_there_stay_unless_they_are_overwritten(
    store: belvedere.Store, tmp_path: Path
) -> None:
    first = store.export_exemplars(tmp_path, module="layer4", k=2, side=4)
    with pytest.raises(BadDestination, match="is there already"):
        store.export_exemplars(tmp_path, module="layer4", k=3, side=4)
    assert store.export_exemplars(tmp_path, module="layer4", k=3, side=4, overwrite=True).k == 3
    shutil.rmtree(first.path)
    first.path.mkdir()
    (first.path / "notes.txt").write_text("mine")
    with pytest.raises(BadDestination, match="a folder that holds something else"):
        store.export_exemplars(tmp_path, module="layer4", overwrite=True)


def test_a_picture_that_has_changed_is_named_and_nothing_is_left(
    store: belvedere.Store, world: World, tmp_path: Path
) -> None:
    few = tmp_path / "few"
    shutil.copytree(world.photos, few, ignore=lambda _, names: [each for each in names if each > "00006"])
    store.add_images("few", few)
    assert store.view("top_images", images="few", module="fc").fill().complete
    (few / "00002.png").write_bytes(b"no picture any more")
    with pytest.raises(PictureChanged, match=r"00002\.png has changed since it was added"):
        store.export_exemplars(tmp_path / "out", images="few", module="fc", k=6)
    assert [*(tmp_path / "out").iterdir()] == []
