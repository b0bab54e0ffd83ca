"""Images of a set are read checked, and shown whole in a small square."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import belvedere
from belvedere.query.seeing.thumbnails import SIDE, image_or_why, thumbnail
from belvedere.store.errors import BadSelection, PictureChanged, UnknownName, UnreadablePicture
from tests.worlds import World, add_pictures, picture


@pytest.fixture
def store(world: World, tmp_path: Path) -> belvedere.Store:
    """Six pictures: 2 is cut short, 3 has changed since it was added, 4 is gone."""
    photos = add_pictures(tmp_path / "photos", range(6))
    (photos / "00002.png").write_bytes(picture(2)[:70])
    store = belvedere.open(tmp_path / "store")
    store.add_images("photos", photos)
    (photos / "00003.png").write_bytes(picture(33))
    (photos / "00004.png").unlink()
    return store


def plain(size: tuple[int, int]) -> Image.Image:
    return Image.new("RGB", size, (40, 80, 120))


def seen(thumb: Image.Image) -> np.ndarray:
    """Where a thumbnail shows the picture and not what it lies on, "y x"."""
    return np.asarray((np.asarray(thumb) != (0xF2, 0xF3, 0xF5)).any(axis=2))


@pytest.mark.parametrize("number", [0, 5, np.int64(5)])
def test_an_image_is_what_its_file_shows(store: belvedere.Store, number: int) -> None:
    found = store.image("photos", number)
    assert (found.mode, found.size) == ("RGB", (16, 16))
    pixels = np.random.default_rng(int(number)).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    assert (np.asarray(found) == pixels).all()


@pytest.mark.parametrize("number", [6, -1, 10**12])
def test_a_number_outside_the_set_is_refused(store: belvedere.Store, number: int) -> None:
    with pytest.raises(
        BadSelection, match=f"no image {number} in 'photos', which has images 0 to 5"
    ) as error:
        store.image("photos", number)
    assert isinstance(error.value, IndexError)


def test_what_is_no_number_is_refused(store: belvedere.Store) -> None:
    with pytest.raises(BadSelection, match=r"image_id 1\.5 is no integer"):
        store.image("photos", 1.5)  # type: ignore[arg-type]
    with pytest.raises(UnknownName, match="no image set 'photo'; did you mean 'photos'"):
        store.image("photo", 1)


def test_what_cannot_be_read_raises_and_is_said_in_two_words(store: belvedere.Store) -> None:
    with pytest.raises(UnreadablePicture, match=r"image 2 of 'photos' \(.+\): "):
        store.image("photos", 2)
    for changed in (3, 4):
        with pytest.raises(PictureChanged):
            store.image("photos", changed)
    told = [image_or_why(store, "photos", number) for number in (2, 3, 4)]
    assert told == ["not readable", "has changed", "has changed"]


def test_a_moved_store_still_shows_its_images(store: belvedere.Store, tmp_path: Path) -> None:
    moved = shutil.move(store.path, tmp_path / "elsewhere")
    assert belvedere.open(moved, mode="r").image("photos", 1).size == (16, 16)


@pytest.mark.parametrize(
    ("size", "rows", "columns"),
    [
        ((64, 64), (0, 128), (0, 128)),
        ((400, 100), (48, 80), (0, 128)),
        ((100, 400), (0, 128), (48, 80)),
        ((9000, 3), (63, 64), (0, 128)),
    ],
)
def test_a_thumbnail_shows_the_whole_picture(
    size: tuple[int, int], rows: tuple[int, int], columns: tuple[int, int]
) -> None:
    thumb = thumbnail(plain(size))
    expected = np.zeros((SIDE, SIDE), bool)
    expected[slice(*rows), slice(*columns)] = True
    assert (seen(thumb) == expected).all()


def test_a_box_is_drawn_where_it_lies_in_the_image() -> None:
    thumb = np.asarray(thumbnail(plain((256, 128)), box=(64, 32, 192, 96)))
    framed = (thumb == (0xD1, 0x49, 0x5B)).all(axis=2)
    assert (np.flatnonzero(framed.any(axis=0))[[0, -1]] == (32, 95)).all()
    assert (np.flatnonzero(framed.any(axis=1))[[0, -1]] == (32 + 16, 32 + 47)).all()
    assert not framed[50:78, 34:94].any()


def test_heat_is_red_above_zero_and_blue_below_and_leaves_zero_alone() -> None:
    heat = np.array([[1.0, 0.0, -1.0]])
    thumb = np.asarray(thumbnail(plain((120, 120)), heat=heat), np.int64)
    red, blue = thumb[64, 5], thumb[64, -5]
    assert red[0] > 2 * red[2]
    assert blue[2] > 2 * blue[0]
    bare = np.asarray(thumbnail(plain((120, 120)), heat=0 * heat), np.int64)
    assert abs(thumb[64, 64] - bare[64, 64]).max() <= 8


def test_heat_is_stretched_bilinearly() -> None:
    ramp = np.asarray(thumbnail(plain((64, 64)), heat=np.array([[0.0, 1.0]])), np.int64)[64, :, 0]
    assert (np.diff(ramp) >= 0).all()
    assert len(np.unique(ramp)) > 30


def test_a_grey_tile_stands_for_what_cannot_be_shown() -> None:
    thumb = np.asarray(thumbnail("not readable"))
    assert (thumb[0, 0] == 0xDD).all()
    assert (thumb != 0xDD).any()
