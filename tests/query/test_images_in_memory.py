"""Pictures in memory are kept in the store, one after the other, under names like any others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import belvedere
from belvedere.store.errors import BadSource, NameTaken
from tests.worlds import World, picture, records


def drawn(*numbers: int) -> list[Image.Image]:
    dice = [np.random.default_rng(number) for number in numbers]
    return [Image.fromarray(each.integers(0, 256, (16, 16, 3), dtype=np.uint8)) for each in dice]


def listed(store: belvedere.Store, *columns: str) -> list[tuple[Any, ...]]:
    return store.sql(
        f"SELECT {', '.join(columns)} FROM images WHERE image_set = 'x' ORDER BY image_id"
    ).fetchall()


class Labelled:
    """A data set as torchvision's are: a length, places, names of classes, and no iterator."""

    classes = ("cat", "dog")

    def __len__(self) -> int:
        return 3

    def __getitem__(self, place: int) -> tuple[Image.Image, int]:
        return drawn(place)[0], place % 2


def test_pictures_of_a_generator_are_rows_with_the_numbers_of_files(world: World, tmp_path: Path) -> None:
    store = world.store(tmp_path / "store")
    told: list[tuple[int, int]] = []
    added = store.add_images(
        "x", (each for each in drawn(0, 1, 2)), tick=lambda done, total: told.append((done, total))
    )
    assert (added.count, added.new, added.unreadable) == (3, 3, 0)
    assert told == [(1, 1), (2, 2), (3, 3)]
    assert listed(store, "width", "height", "label") == [(16, 16, None)] * 3
    store.add_images("files", [world.photos / f"{number:05}.png" for number in range(3)])
    rows = store.view("image_embeddings", images="x")[:]
    assert np.array_equal(rows, store.view("image_embeddings", images="files")[:])


def test_labels_are_the_names_of_classes_where_a_source_has_them(store: belvedere.Store) -> None:
    store.add_images("x", Labelled())  # type: ignore[arg-type]  # no iterator, as in torchvision
    assert listed(store, "label") == [("cat",), ("dog",), ("cat",)]
    labels = ["a", 7, None, np.int64(3), ""]
    store.add_images("x", zip(drawn(*range(5)), labels, strict=True), replace=True)
    assert listed(store, "label") == [("a",), ("7",), (None,), ("3",), (None,)]


def test_equal_pictures_are_as_many_rows_and_are_kept_once(store: belvedere.Store) -> None:
    store.add_images("x", drawn(4, 5, 4, 4))
    (first,), (other,), (second,), (third,) = listed(store, "path")
    assert (second, third) == (f"{first}/2", f"{first}/3")
    assert other != first
    kept = [each.name for each in (store.path / "pictures").iterdir()]
    assert sorted(kept) == sorted(path.removeprefix("kept:") for path in (first, other))
    rows = store.view("image_embeddings", images="x")[:]
    assert np.array_equal(rows[0], rows[3])


def test_adding_again_appends_and_other_pictures_are_refused(store: belvedere.Store) -> None:
    store.add_images("x", drawn(1, 2))
    assert store.add_images("x", drawn(1, 2)).new == 0
    assert store.add_images("x", iter(drawn(3, 1, 2))).new == 1
    assert [path for (path,) in listed(store, "path")][2] != listed(store, "path")[0][0]
    with pytest.raises(NameTaken, match="stands for 3 images from 3 pictures in memory"):
        store.add_images("x", drawn(7, 8, 9))
    assert store.add_images("x", drawn(7), replace=True).count == 1


def test_a_moved_store_has_its_pictures_with_it(world: World, tmp_path: Path) -> None:
    store = world.store(tmp_path / "store")
    store.add_images("x", drawn(1, 2))
    store.close()
    moved = belvedere.open(store.path.rename(tmp_path / "moved"))
    assert moved.view("image_embeddings", images="x").fill().complete
    reopened = belvedere.open(moved.path, mode="r")
    assert reopened.view("image_embeddings", images="x")[:].shape == (2, 12)
    assert records(moved)


def test_a_source_that_breaks_off_leaves_the_name_as_it_was(store: belvedere.Store) -> None:
    def torn() -> Iterator[Image.Image]:
        yield from drawn(1, 2)
        raise RuntimeError("the camera is off")

    store.add_images("x", drawn(5))
    for name, replace in (("y", False), ("x", True)):
        with pytest.raises(RuntimeError, match="the camera is off"):
            store.add_images(name, torn(), replace=replace)
    assert store.sql("SELECT image_set, images FROM image_sets ORDER BY ALL").fetchall() == [
        ("photos", 300),
        ("x", 1),
    ]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ([np.zeros((2, 2))], r"picture 0 is a ndarray; pictures in memory are PIL images or pairs"),
        ([(1, 2, 3)], "picture 0 is a tuple of int, int, int"),
        ([*drawn(1), {"image": None}], r"picture 1 is a dict; .*the folder that save_to_disk wrote"),
        ([(drawn(1)[0], 0.5)], "the label of picture 0 is a float; labels are text or integers"),
        ([*drawn(1), Image.new("F", (2, 2))], "picture 1 cannot be kept: a grey picture of floats"),
        ([], r"the list names no pictures; known are \.bmp"),
        (7, "int is no source of images"),
    ],
)
def test_what_is_no_picture_is_refused_by_its_place(
    store: belvedere.Store, source: Any, message: str
) -> None:
    with pytest.raises(BadSource, match=message):
        store.add_images("x", source)


def test_a_kept_picture_that_is_damaged_is_told_and_mended_by_adding_again(store: belvedere.Store) -> None:
    store.add_images("x", drawn(1))
    (kept,) = (store.path / "pictures").iterdir()
    kept.write_bytes(picture(2))
    assert store.view("image_embeddings", images="x").fill().failed == 1
    assert "has changed since it was added" in store.errors()[0].message
    kept.unlink()
    store.add_images("x", drawn(1))
    report = store.view("image_embeddings", images="x").fill(retry_failed=True)
    assert (report.complete, store.errors()) == (True, [])


def test_kept_pictures_that_are_gone_or_changed_are_found(store: belvedere.Store) -> None:
    store.add_images("memory", [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")])
    assert store.verify().damage == ()
    first, second, _ = sorted((store.path / "pictures").iterdir())
    first.unlink()
    second.write_bytes(b"other bytes")
    found = [(each.view, each.unit, each.what) for each in store.verify().damage]
    assert found == [("pictures", first.name, "removed"), ("pictures", second.name, "its bytes changed")]
