"""Pictures of every kind decode to the pixels that a viewer shows, or are refused with the reason."""

from __future__ import annotations

import io
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

import belvedere
from belvedere.compute.images.decoding import decode, measure, to_png
from belvedere.store.errors import UnreadablePicture

COLOURS = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
"""Pixels of a picture of 7 × 5."""
DEEP = np.linspace(0, 65535, 256, dtype=np.uint16).reshape(8, 32)
"""Grey pixels of 16 bits, each upper byte once."""


def written(picture: Image.Image, form: str, **options: Any) -> bytes:
    sink = io.BytesIO()
    picture.save(sink, form, **options)
    return sink.getvalue()


def pixels(picture: Image.Image) -> NDArray[np.uint8]:
    assert picture.mode == "RGB"
    return np.asarray(picture)


def grey(values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.repeat(values[..., None], 3, axis=2)


def tiff(values: NDArray[np.uint16], order: str = "<", photometric: int = 1) -> bytes:
    """Write a grey TIFF of 16 bits by hand: Pillow writes neither byte order nor polarity as asked."""
    height, width = values.shape
    body = values.astype(f"{order}u2").tobytes()
    return _tiff(order, width, height, 16, photometric, body)


def _tiff(order: str, width: int, height: int, bits: int, photometric: int, body: bytes) -> bytes:
    tags = {256: width, 257: height, 258: bits, 259: 1, 262: photometric, 273: 8, 277: 1, 278: height}
    tags[279] = len(body)
    entries = b"".join(struct.pack(f"{order}HHII", tag, 4, 1, value) for tag, value in tags.items())
    mark = b"II" if order == "<" else b"MM"
    head = mark + struct.pack(f"{order}HI", 42, 8 + len(body))
    return head + body + struct.pack(f"{order}H", len(tags)) + entries + bytes(4)


@pytest.mark.parametrize("form", ["PNG", "TIFF", "PPM"])
def test_grey_of_16_bits_is_narrowed_to_its_upper_byte(form: str) -> None:
    found = pixels(decode(written(Image.fromarray(DEEP), form)))
    assert np.array_equal(found, grey((DEEP >> 8).astype(np.uint8)))
    assert [found.min(), found.max()] == [0, 255]


def test_grey_of_16_bits_is_read_in_either_byte_order_and_polarity() -> None:
    upper = (DEEP >> 8).astype(np.uint8)
    assert np.array_equal(pixels(decode(tiff(DEEP, ">"))), grey(upper))
    assert np.array_equal(pixels(decode(tiff(DEEP, "<"))), grey(upper))
    assert np.array_equal(pixels(decode(tiff(DEEP, "<", photometric=0))), grey(255 - upper))


def test_grey_of_12_bits_is_not_dark() -> None:
    packed = bytes([0xFF, 0xF8, 0x00])  # 4095 and 2048
    found = pixels(decode(_tiff("<", 2, 1, 12, 1, packed)))
    assert found[0, :, 0].tolist() == [255, 128]


@pytest.mark.parametrize(
    ("values", "what"),
    [(np.zeros((2, 2), np.int32), "integers of 32 bits"), (np.zeros((2, 2), np.float32), "floats")],
)
def test_pictures_whose_range_says_nothing_are_refused(values: Any, what: str) -> None:
    data = written(Image.fromarray(values), "TIFF")
    with pytest.raises(UnreadablePicture, match=f"grey picture of {what}.* save it with 8 or 16 bits"):
        decode(data)
    assert measure(data) is None


@pytest.mark.parametrize("form", ["JPEG", "TIFF"])
def test_cmyk_decodes_also_as_adobe_inverts_it(form: str) -> None:
    inks = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    data = written(inks, form, **({"quality": 100} if form == "JPEG" else {}))
    assert (b"Adobe" in data) == (form == "JPEG")
    found = pixels(decode(data)).astype(int)
    assert np.abs(found - [255, 0, 0]).max() <= (2 if form == "JPEG" else 0)


def test_of_an_animation_the_first_frame_is_taken() -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "lime", "blue")]
    for form in ("GIF", "PNG"):
        data = written(frames[0], form, save_all=True, append_images=frames[1:])
        assert np.array_equal(pixels(decode(data)), np.full((4, 4, 3), [255, 0, 0], np.uint8))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["PNG", "TIFF", "WEBP"])
def test_a_picture_stands_upright_and_is_as_wide_as_it_then_is(form: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    lossless = {"lossless": True} if form == "WEBP" else {}
    data = written(Image.fromarray(COLOURS), form, exif=exif, **lossless)
    with Image.open(io.BytesIO(data)) as opened:
        expected = np.asarray(ImageOps.exif_transpose(opened).convert("RGB"))
    found = decode(data)
    assert np.array_equal(pixels(found), expected)
    assert (expected.shape == COLOURS.shape) == (orientation <= 4)
    assert measure(data) == found.size


def test_a_png_may_state_its_orientation_behind_its_pixels() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = written(Image.fromarray(COLOURS), "PNG", exif=exif)
    start = data.index(b"eXIf") - 4
    stop = start + 12 + int.from_bytes(data[start : start + 4])
    late = data[:start] + data[stop:-12] + data[start:stop] + data[-12:]
    assert np.array_equal(pixels(decode(late)), pixels(decode(data)))
    assert measure(late) == measure(data) == (5, 7)


def test_damaged_exif_leaves_a_picture_as_it_lies() -> None:
    data = written(Image.fromarray(COLOURS), "PNG", exif=b"Exif\x00\x00II*\x00\xff\xff\xff\xff")
    assert np.array_equal(pixels(decode(data)), COLOURS)
    assert measure(data) == (7, 5)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA"])
def test_other_modes_decode_as_pillow_converts_them(mode: str) -> None:
    clear = Image.fromarray(np.dstack([COLOURS, COLOURS[..., :1]]), "RGBA")
    picture = clear.convert(mode)
    expected = np.asarray(picture.convert("RGBA" if mode == "P" else mode).convert("RGB"))
    assert np.array_equal(pixels(decode(written(picture, "PNG"))), expected)


@pytest.mark.parametrize("transparency", [3, bytes([255, 0, 128])])
def test_a_palette_with_transparent_colours_keeps_its_colours(transparency: int | bytes) -> None:
    picture = Image.fromarray(COLOURS).quantize(8)
    data = written(picture, "PNG", transparency=transparency)
    assert np.array_equal(pixels(decode(data)), np.asarray(picture.convert("RGB")))


def test_a_wide_panorama_decodes_and_a_bomb_does_not() -> None:
    assert decode(written(Image.new("L", (30_000, 1_000), 7), "PNG")).size == (30_000, 1_000)
    bomb = written(Image.new("1", (10_000, 10_000)), "PNG")
    with pytest.raises(UnreadablePicture, match="too large to decode safely: "):
        decode(bomb)
    assert measure(bomb) is None


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP", "PPM"])
def test_damaged_bytes_are_unreadable_whatever_pillow_makes_of_them(form: str) -> None:
    whole = bytearray(written(Image.fromarray(COLOURS), form))
    dice = np.random.default_rng(1)
    for _ in range(60):
        data = bytearray(whole)
        for place in dice.integers(0, len(data), 6):
            data[place] = int(dice.integers(256))
        with suppress(UnreadablePicture):
            assert decode(bytes(data)).mode == "RGB"


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "CMYK", "YCbCr", "HSV", "I;16B"]
)
def test_what_is_kept_as_png_decodes_to_the_pixels_of_the_picture(mode: str) -> None:
    if mode.startswith("I;16"):
        picture = decode_as_is(tiff(DEEP, ">" if mode == "I;16B" else "<"))
        expected = grey((DEEP >> 8).astype(np.uint8))
    else:
        picture = Image.fromarray(COLOURS).convert(mode)
        expected = np.asarray(picture.convert("RGB"))
    assert picture.mode == mode
    assert np.array_equal(pixels(decode(to_png(picture))), expected)


def decode_as_is(data: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(data))
    picture.load()
    return picture


def test_equal_pictures_are_kept_as_equal_bytes_whatever_was_written_beside_them() -> None:
    plain = Image.fromarray(COLOURS)
    named = plain.copy()
    named.info.update(icc_profile=b"profile", dpi=(72, 72), comment=b"mine")
    assert to_png(plain) == to_png(named)
    with pytest.raises(UnreadablePicture, match="floats"):
        to_png(Image.new("F", (2, 2)))


def test_the_catalog_has_the_sizes_of_upright_pictures_and_equal_files_twice(
    store: belvedere.Store, tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 8
    data = written(Image.fromarray(COLOURS), "JPEG", exif=exif)
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(data)
    (tmp_path / "c.tif").write_bytes(written(Image.new("F", (3, 3)), "TIFF"))
    added = store.add_images("x", [tmp_path / name for name in ("a.jpg", "b.jpg", "c.tif")])
    assert (added.count, added.unreadable) == (3, 1)
    found = store.sql("SELECT width, height, label FROM images WHERE image_set = 'x' ORDER BY image_id")
    assert found.fetchall() == [(5, 7, None), (5, 7, None), (None, None, None)]
