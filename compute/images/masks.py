"""Masks of images: where in each the thing is that it shows, or, by numbers, where each of several is."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...store import digest
from ...store.errors import BadSource, PictureChanged, UnreadablePicture
from ...store.sets import CONCEPTS, MASK
from . import image_tables
from .decoding import upright
from .found import Found, Row
from .pictures import DATASET, DEMO, KEPT, SUFFIXES, Pictures

Mask = NDArray[np.bool_]
_MODES = frozenset({"1", "L", "P", "I", "I;16", "RGB"})
"""Pillow's modes of masks; of a palette the numbers count, and not the colours."""
HIGHEST = 65_535
"""The largest number of a mask."""


def with_masks(found: Sequence[Found], source: object, masks: str | Path) -> list[Found]:
    """Give pictures their masks: of a folder those of their names, of a table those that it says.

    In a folder the mask of a picture is at the picture's path below the source, or else has its file name;
    the ending may be another. A .csv or .parquet table has columns `path` and `mask`, of which relative ones
    start at the table's folder. Pictures may be without a mask.

    Raises:
        BadSource: There is nothing there, no picture has a mask in it, or the pictures are no files.
        UnknownName: A table lacks one of the two columns.
    """
    place = Path(masks)
    if not all(_is_file(each) for each in found):
        raise BadSource(f"masks={str(masks)!r} goes with images that are files; these come from {source}")
    if place.is_dir():
        known = _of_folder(place, Path(str(source)) if isinstance(source, str | Path) else None)
    elif place.suffix.lower() in (".csv", ".parquet"):
        named = image_tables.masks(place)

        def known(each: Found) -> str | None:
            return named.get(str(Path(each.path).resolve()))

    else:
        raise BadSource(f"masks={str(masks)!r} is neither a folder nor a .csv or .parquet table")
    given = [replace(each, mask=known(each) or each.mask) for each in found]
    if not any(each.mask for each in given):
        raise BadSource(
            f"no picture has a mask in {masks}: the mask of {found[0].path} would be called "
            f"{Path(found[0].path).stem}.png"
        )
    return given


def _is_file(each: Found) -> bool:
    return each.facts is None and not each.path.startswith((DATASET, DEMO, KEPT))


def _of_folder(masks: Path, source: Path | None) -> Callable[[Found], str | None]:
    """Say how the mask of a picture is found in a folder."""
    files = [each for each in sorted(masks.resolve().rglob("*")) if each.suffix.lower() in SUFFIXES]
    by_place = {str(each.relative_to(masks.resolve()).with_suffix("")): str(each) for each in files}
    by_name: dict[str, list[str]] = {}
    for each in files:
        by_name.setdefault(each.stem, []).append(str(each))
    root = source.resolve() if source is not None and source.is_dir() else None

    def known(each: Found) -> str | None:
        path = Path(each.path)
        if root is not None and path.is_relative_to(root):
            place = str(path.relative_to(root).with_suffix(""))
            if place in by_place:
                return by_place[place]
        named = by_name.get(path.stem, [])
        if len(named) > 1:
            raise BadSource(
                f"the mask of {path} is one of {', '.join(named[:3])}: names are to be told apart"
            )
        return named[0] if named else None

    return known


def entry(found: Found, row: Row, pictures: Pictures) -> Row:
    """Read a picture's mask once, for its digest; `BadSource` where it is none, or of another size."""
    if found.mask is None:
        return row
    try:
        data = pictures.read(found.mask)
    except OSError as error:
        raise BadSource(f"the mask {found.mask} cannot be read ({error.strerror})") from error
    try:
        height, width = decode(data).shape
    except UnreadablePicture as error:
        raise BadSource(f"the mask {found.mask} cannot be read: {error}") from error
    if row["width"] is not None and (width, height) != (row["width"], row["height"]):
        raise BadSource(
            f"the mask {found.mask} has {width} × {height} pixels, and its picture {found.path} has "
            f"{row['width']} × {row['height']}"
        )
    said = {} if found.concepts is None else {CONCEPTS: found.concepts}
    return {**row, "mask": found.mask, "mask_digest": digest.of_bytes(data), **said}


def with_concepts(found: Sequence[Found], concepts: str | Path | Mapping[int, str]) -> list[Found]:
    """Say what each number in the pictures' masks stands for, by a mapping or a table `value,concept`.

    Raises:
        BadSource: No picture has a mask, the table is none, or a number or a name in it cannot be.
        UnknownName: The table lacks one of the two columns.
    """
    if not any(each.mask for each in found):
        raise BadSource(
            "concepts=… says what the numbers in masks stand for, and these images come without masks: "
            "give masks=… (--masks) as well"
        )
    table = not isinstance(concepts, Mapping)
    pairs = image_tables.concepts(Path(concepts)) if table else [*concepts.items()]  # type: ignore[arg-type,union-attr]
    named: dict[int, str] = {}
    for value, concept in pairs:
        number, name = _number(value), str(concept or "").strip()
        if number is None or not name:
            raise BadSource(
                f"concepts: {value!r} = {concept!r}; each is a number from 0 to {HIGHEST} and a name"
            )
        if named.setdefault(number, name) != name:
            raise BadSource(f"concepts: {number} stands for {named[number]!r} and for {name!r}")
    if not named:
        raise BadSource("concepts=… names no number")
    said = json.dumps(dict(sorted(named.items())), ensure_ascii=False)
    return [replace(each, concepts=said) if each.mask else each for each in found]


def _number(value: object) -> int | None:
    """Read a number that a mask may have; None where it is none."""
    text = str(int(value) if isinstance(value, float) and value.is_integer() else value).strip()
    return int(text) if text.isdecimal() and int(text) <= HIGHEST else None


def fetch(pictures: Pictures, place: tuple[str, str]) -> Mask:
    """Read a mask that was added with this path and digest; `PictureChanged` where it is another one now."""
    return decode(_bytes(pictures, place))


def fetch_numbers(pictures: Pictures, place: tuple[str, str]) -> NDArray[np.uint16]:
    """Read the numbers of a mask, "y x", as `fetch` does; `UnreadablePicture` where they are colours."""
    numbers = _decoded(_bytes(pictures, place))
    if numbers.ndim != 2:
        raise UnreadablePicture("numbers were said to stand for concepts, and its pixels are colours")
    if numbers.min() < 0 or numbers.max() > HIGHEST:
        raise UnreadablePicture(f"its numbers go beyond {HIGHEST}")
    return numbers.astype(np.uint16)


def misfit(mask: NDArray[Any], width: int, height: int) -> str | None:
    """Say that a mask is not of its image's size; None where it is."""
    if mask.shape == (height, width):
        return None
    return f"its mask has {mask.shape[1]} × {mask.shape[0]} pixels, and it has {width} × {height}"


def _bytes(pictures: Pictures, place: tuple[str, str]) -> bytes:
    path, sha256 = place
    try:
        data = pictures.read(path)
    except OSError as error:
        raise PictureChanged(
            f"the mask {path} cannot be read any more ({error.strerror}); add its images again"
        ) from error
    if digest.of_bytes(data) != sha256:
        raise PictureChanged(
            f"the mask {path} has changed since it was added; add its images again to take it as it is now"
        )
    return data


def decode(data: bytes) -> Mask:
    """Decode a mask, "y x": true where it is not zero. `UnreadablePicture` says what is wrong with one."""
    values = _decoded(data)
    found: Mask = (values != 0).reshape(*values.shape[:2], -1).any(axis=-1)
    return found


def _decoded(data: bytes) -> NDArray[Any]:
    """Decode a mask, upright as its EXIF orientation says: "y x", or "y x colour"."""
    try:
        with Image.open(io.BytesIO(data)) as picture:
            picture.load()
            if picture.mode not in _MODES:
                raise UnreadablePicture(
                    f"a mask is black where the background is, and this is a picture of mode {picture.mode}"
                )
            return np.asarray(upright(picture, data))
    except UnreadablePicture:
        raise
    except Exception as error:  # Pillow's readers raise whatever damaged bytes lead them to
        raise UnreadablePicture("not a picture in a known format") from error


def kept(row: Mapping[str, object]) -> dict[str, object]:
    """Give what an entry knows of its mask, for a set that takes the image from another."""
    return {name: row[name] for name in MASK if row.get(name) is not None}
