"""Masks of images: where in each the thing is that it shows, and where its background is."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..store import digest
from ..store.errors import BadSource, PictureChanged, UnreadablePicture
from . import image_tables
from .found import Found, Row
from .pictures import DATASET, DEMO, KEPT, SUFFIXES, Pictures

Mask = NDArray[np.bool_]
_MODES = frozenset({"1", "L", "P", "I", "I;16", "RGB"})
"""Pillow's modes of masks; of a palette the numbers count, and not the colours."""


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
    return {**row, "mask": found.mask, "mask_digest": digest.of_bytes(data)}


def fetch(pictures: Pictures, place: tuple[str, str]) -> Mask:
    """Read a mask that was added with this path and digest; `PictureChanged` where it is another one now."""
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
    return decode(data)


def decode(data: bytes) -> Mask:
    """Decode a mask, "y x": true where it is not zero. `UnreadablePicture` says what is wrong with one."""
    try:
        with Image.open(io.BytesIO(data)) as picture:
            picture.load()
            if picture.mode not in _MODES:
                raise UnreadablePicture(
                    f"a mask is black where the background is, and this is a picture of mode {picture.mode}"
                )
            values = np.asarray(picture)
    except UnreadablePicture:
        raise
    except Exception as error:  # Pillow's readers raise whatever damaged bytes lead them to
        raise UnreadablePicture("not a picture in a known format") from error
    found: Mask = (values != 0).reshape(*values.shape[:2], -1).any(axis=-1)
    return found


def kept(row: Mapping[str, object]) -> dict[str, object]:
    """Give what an entry knows of its mask, for a set that takes the image from another."""
    return {name: row[name] for name in ("mask", "mask_digest") if row.get(name) is not None}
