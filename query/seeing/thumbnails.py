"""Pictures of images: as they are, or small and square with something drawn on them."""

from __future__ import annotations

import operator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ...compute.images.pictures import Pictures
from ...store.errors import BadSelection, PictureChanged, UnreadablePicture

if TYPE_CHECKING:
    from ...store.folder import Folder
    from ..store import Store

SIDE = 128
"""Pixels of a thumbnail's side."""
INK, FAINT = "#1d2733", "#66717e"
"""The colours of words: of what is read first, and of the rest."""
PAPER, GREY = "#f2f3f5", "#dddddd"
"""What a picture that is not square lies on, and what stands in for one that cannot be shown."""
FRAME, MORE, LESS = "#d1495b", np.array([209.0, 60, 70]), np.array([40.0, 100, 190])
"""The colours of boxes, and of heat above and below zero."""
Box = tuple[float, float, float, float]
"""Left, top, right and bottom in pixels of the image, the last two exclusive."""
Heat = NDArray[np.floating[Any]]


@cache
def font(size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    """Open the font that comes with matplotlib: it has most alphabets, unlike Pillow's own."""
    import matplotlib

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts", "ttf", name), size)


def image(folder: Folder, image_set: str, image_id: int) -> Image.Image:
    """Read an image of a set, checked against its digest; see `Store.image`."""
    images = folder.names.image_set(image_set)
    try:
        place = operator.index(image_id)
    except TypeError:
        raise BadSelection(f"image_id {image_id!r} is no integer") from None
    if not 0 <= place < len(images):
        raise BadSelection(
            f"no image {place} in {image_set!r}, which has images 0 to {len(images) - 1} "
            "(an image_id is never counted from the end)"
        )
    path = images.path(place)
    try:
        return Pictures(folder.objects).fetch(path, images.identities[place])
    except UnreadablePicture as error:
        raise UnreadablePicture(f"image {place} of {image_set!r} ({path}): {error}") from error


def image_or_why(store: Store, image_set: str, image_id: int) -> Image.Image | str:
    """Read an image; give in two words why it cannot be shown where that is so."""
    try:
        return store.image(image_set, image_id)
    except UnreadablePicture:
        return "not readable"
    except PictureChanged:
        return "has changed"


def thumbnail(
    picture: Image.Image | str, *, box: Box | None = None, heat: Heat | None = None, top: float = 1.0
) -> Image.Image:
    """Show the whole of a picture on a square of 128 pixels; a grey one that says why there is none.

    Args:
        picture: An RGB image, or why there is none.
        box: Drawn as a frame.
        heat: A grid of any size "y x" over the whole picture, stretched bilinearly and laid over it: red
            above zero, blue below; not a number where nothing is known.
        top: The heat that is shown at full strength, on both sides of zero.
    """
    if isinstance(picture, str):
        empty = Image.new("RGB", (SIDE, SIDE), GREY)
        ImageDraw.Draw(empty).text((SIDE // 2, SIDE // 2), picture, FAINT, font(12), anchor="mm")
        return empty
    scale = SIDE / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    small = picture.resize(size, Image.Resampling.BICUBIC)
    if heat is not None:
        small = laid_over(small, heat, top)
    if box is not None:
        left, upper, right, lower = (edge * scale for edge in box)
        corners = (left, upper, max(left, right - 1), max(upper, lower - 1))
        ImageDraw.Draw(small).rectangle(corners, outline=FRAME, width=2)
    square = Image.new("RGB", (SIDE, SIDE), PAPER)
    square.paste(small, ((SIDE - size[0]) // 2, (SIDE - size[1]) // 2))
    return square


def laid_over(picture: Image.Image, heat: Heat, top: float) -> Image.Image:
    """Lay heat over a picture that has lost most of its colour, so that red and blue are the heat's.

    Where heat is not a number nothing is known; the picture is paler there.
    """
    known = np.isfinite(heat)
    stretched = _stretched(np.where(known, heat, 0), picture.size)
    there = _stretched(known, picture.size)
    strength = np.clip(stretched / (top or 1.0), -1, 1)[..., None]
    grey = np.asarray(picture.convert("L"), np.float32)[..., None]
    faded = 0.2 * np.asarray(picture, np.float32) + 0.8 * grey
    colour = np.where(strength > 0, MORE, LESS)
    weight = 0.8 * np.abs(strength)
    mixed = faded * (1 - weight) + colour * weight
    pale = 0.35 * grey + 0.65 * 255
    mixed = np.where(there[..., None] < 0.5, pale, mixed)
    return Image.fromarray(np.round(mixed).astype(np.uint8))


def _stretched(grid: Heat, size: tuple[int, int]) -> Heat:
    return np.asarray(Image.fromarray(grid.astype(np.float32)).resize(size, Image.Resampling.BILINEAR))
