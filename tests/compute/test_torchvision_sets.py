"""Data sets of torchvision as sources: files as they lie, pictures in archives, and what is not there."""

from __future__ import annotations

import struct
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import belvedere
from belvedere.compute.images.class_names import class_names
from belvedere.compute.images.torchvision_sets import files
from belvedere.store.errors import BadSource, UnknownName
from tests.worlds import picture


def rows(store: belvedere.Store, name: str) -> list[tuple[object, ...]]:
    query = "SELECT path, label, width FROM images WHERE image_set = ? ORDER BY image_id"
    return store.sql(query, [name]).fetchall()


@pytest.fixture
def fashion(tmp_path: Path) -> Path:
    """Three pictures of 28 × 28 in FashionMNIST's own files, for training and for testing."""
    raw = tmp_path / "sets" / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    pixels = np.arange(3 * 28 * 28, dtype=np.uint32).astype(np.uint8)
    for part in ("train", "t10k"):
        kinds = bytes([9, 0, 9]) if part == "train" else bytes([1, 1, 8])
        (raw / f"{part}-images-idx3-ubyte").write_bytes(
            struct.pack(">4i", 0x803, 3, 28, 28) + pixels.tobytes()
        )
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">2i", 0x801, 3) + kinds)
    return tmp_path / "sets"


def test_files_stay_where_they_are_and_have_their_classes(store: belvedere.Store, tmp_path: Path) -> None:
    for name, numbers in {"cats": (1, 2), "dogs": (3,)}.items():
        (tmp_path / "pets" / name).mkdir(parents=True)
        for number in numbers:
            (tmp_path / "pets" / name / f"{number}.png").write_bytes(picture(number))
    assert store.add_images("pets", f"torchvision:ImageFolder/{tmp_path / 'pets'}").count == 3
    assert rows(store, "pets") == [
        (str(tmp_path / "pets" / "cats" / "1.png"), "cats", 16),
        (str(tmp_path / "pets" / "cats" / "2.png"), "cats", 16),
        (str(tmp_path / "pets" / "dogs" / "3.png"), "dogs", 16),
    ]
    with pytest.raises(BadSource, match="ImageFolder of torchvision has no splits, and not #test"):
        store.add_images("more", f"torchvision:ImageFolder/{tmp_path / 'pets'}#test")


def test_pictures_in_archives_are_kept_with_the_names_of_their_classes(
    store: belvedere.Store, fashion: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(fashion.parent)
    assert store.add_images("worn", "torchvision:FashionMNIST/sets#test").count == 3
    assert [row[1:] for row in rows(store, "worn")] == [("Trouser", 28), ("Trouser", 28), ("Bag", 28)]
    query = "SELECT source FROM image_sets WHERE image_set = 'worn'"
    assert store.sql(query).fetchall() == [(f"torchvision:FashionMNIST/{fashion}#test",)]
    store.add_images("train", f"torchvision:FashionMNIST/{fashion}")
    assert [row[1] for row in rows(store, "train")] == ["Ankle boot", "T-shirt/top", "Ankle boot"]
    assert store.view("image_embeddings", images="worn").fill(progress=False).complete


def test_classes_of_one_name_are_told_apart(tmp_path: Path) -> None:
    folders = ["n02012849", "n03126707", "n01440764"]
    samples = [(str(tmp_path / folder / "a.png"), place) for place, folder in enumerate(folders)]
    for folder in folders:
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.png").write_bytes(picture(1))
    classes = [("crane",), ("crane",), ("tench", "Tinca tinca")]
    imagenet = SimpleNamespace(samples=samples, classes=classes, wnids=folders)  # as torchvision's ImageNet
    assert [each.label for each in files(imagenet) or ()] == [
        "crane (n02012849)",
        "crane (n03126707)",
        "tench, Tinca tinca",
    ]
    assert class_names(SimpleNamespace(classes=["a", "b", "a"])) == ["a (0)", "b", "a (2)"]
    assert class_names(object()) is None


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        ("torchvision:CIFAR11/sets", UnknownName, "did you mean 'CIFAR10'"),
        ("torchvision:CIFAR10", BadSource, "torchvision:NAME/FOLDER"),
        ("torchvision:CIFAR10/nowhere", BadSource, "cannot be opened from .*/nowhere: Dataset not found"),
        ("torchvision:FashionMNIST/sets#val", BadSource, "has #train and #test, and not #val"),
        ("torchvision:STL10/sets#old", BadSource, "cannot be opened"),
        ("torchvision:FakeData/sets", BadSource, "FakeData of torchvision is no data set that lies in a"),
        ("torchvision:utils/sets", UnknownName, "no data set of torchvision"),
    ],
)
def test_what_is_not_there_is_refused(
    store: belvedere.Store, source: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        store.add_images("none", source)
    assert store.sql("SELECT count(*) FROM image_sets WHERE image_set = 'none'").fetchall() == [(0,)]
