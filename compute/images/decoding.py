"""Pictures decoded as RGB of 8 bits, upright, or refused with the reason."""

from __future__ import annotations

import io
import re
import warnings

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from ...store.errors import UnreadablePicture

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What sets a picture of an EXIF orientation upright; 1 stands upright as it is."""
_ASIDE = frozenset({5, 6, 7, 8})
"""Orientations of pictures that lie on their side."""
_PNG_EXIF = (b"eXIf", b"adobe.xmp", b"Raw profile type exif")
"""One of these is in a PNG that states an orientation, perhaps behind its pixels."""
_PNG_MODES = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "I;16"})
"""Modes that PNG keeps without loss."""
_BITS, _PHOTOMETRIC, _WHITE_IS_ZERO = 258, 262, 0
"""Tags of TIFF, and the value of the second by which 0 is white."""


warnings.filterwarnings("ignore", module=r"PIL\.")  # once: threads must not touch the filters


def decode(data: bytes) -> Image.Image:
    """Decode a picture as RGB of 8 bits, upright as its EXIF orientation says.

    16 bits a channel are narrowed to the upper 8; of an animation the first frame is taken; transparency
    is left out; everything else is as Pillow converts it.

    Raises:
        UnreadablePicture: It is no picture, is cut short, is absurdly large, or has integers or floats of
            32 bits, which say nothing about where black and white lie.
    """
    try:
        with Image.open(io.BytesIO(data)) as picture:
            _refuse_bombs(picture)
            depth = _depth(picture)
            picture.load()
            return _rgb(_upright(picture, _told(picture, data)), *depth)
    except (UnreadablePicture, MemoryError):
        raise
    except UnidentifiedImageError as error:
        raise UnreadablePicture("not a picture in a known format") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UnreadablePicture(f"too large to decode safely: {error}") from error
    except Exception as error:  # Pillow's readers raise whatever damaged bytes lead them to
        raise UnreadablePicture(_plainly(str(error)) or type(error).__name__) from error


def measure(data: bytes) -> tuple[int, int] | None:
    """Give the width and height of the upright picture from its header; None where `decode` refuses that."""
    try:
        with Image.open(io.BytesIO(data)) as picture:
            _refuse_bombs(picture)
            if _depth(picture)[0] == 32:
                return None
            width, height = picture.size
            aside = picture.format != "TIFF" and _told(picture, data) in _ASIDE
            return (height, width) if aside else (width, height)  # Pillow turns TIFF on its own
    except Exception:  # Pillow's readers raise whatever a damaged header leads them to
        return None


def to_png(picture: Image.Image) -> bytes:
    """Encode a picture, upright, as PNG: without loss in the modes that PNG has, else as `decode` reads it.

    Raises `UnreadablePicture` for one that `decode` would refuse, or whose file cannot be read any more.
    """
    try:
        picture.load()
        depth = _depth(picture)
        kept = _upright(picture, _orientation(picture))
        if kept.mode not in _PNG_MODES or depth != (16, False):
            kept = _rgb(kept, *depth)
        sink = io.BytesIO()
        kept.save(sink, "PNG", compress_level=1, icc_profile=None, exif=b"")
        return sink.getvalue()
    except (OSError, SyntaxError, ValueError) as error:
        raise UnreadablePicture(_plainly(str(error)) or type(error).__name__) from error


def _told(picture: Image.Image, data: bytes) -> int:
    """Read the orientation of a picture from its bytes; Pillow would decode a PNG whole to find none."""
    silent = picture.format == "PNG" and not any(mark in data for mark in _PNG_EXIF)
    return 1 if silent else _orientation(picture)


def _orientation(picture: Image.Image) -> int:
    """Give the EXIF orientation, 1 to 8; damaged EXIF counts as upright, as it does in viewers."""
    try:
        return int(picture.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # Pillow raises whatever damaged EXIF leads it to
        return 1


def upright(picture: Image.Image, data: bytes) -> Image.Image:
    """Turn an opened picture, whose bytes these are, as its EXIF orientation says."""
    return _upright(picture, _told(picture, data))


def _upright(picture: Image.Image, orientation: int) -> Image.Image:
    turn = _TURNS.get(orientation)
    return picture if turn is None else picture.transpose(turn)


def _depth(picture: Image.Image) -> tuple[int, bool]:
    """Give how many bits a grey picture of more than 8 has, and whether its 0 is white.

    32 stands for those that do not say: what PNG and PGM hold has 16 bits also where Pillow widens it.
    """
    if picture.mode == "F" or (picture.mode == "I" and picture.format not in ("PNG", "PPM")):
        return 32, False
    if picture.format != "TIFF" or not picture.mode.startswith("I;16"):
        return 16, False
    tags = picture.tag_v2  # type: ignore[attr-defined]  # of TIFF alone
    return tags.get(_BITS, (16,))[0], tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO


def _rgb(picture: Image.Image, bits: int, inverted: bool) -> Image.Image:
    if bits == 32:
        what = "floats" if picture.mode == "F" else "integers of 32 bits"
        raise UnreadablePicture(
            f"a grey picture of {what}, which say nothing about where black and white lie; "
            "save it with 8 or 16 bits"
        )
    if picture.mode == "P" and "transparency" in picture.info:
        return picture.convert("RGBA").convert("RGB")  # the same colours, without a warning of Pillow's
    if not picture.mode.startswith("I"):
        return picture.convert("RGB")
    grey = (np.asarray(picture) >> (bits - 8)).astype(np.uint8)  # Pillow's own conversion clips
    return Image.fromarray(255 - grey if inverted else grey).convert("RGB")


def _refuse_bombs(picture: Image.Image) -> None:
    """Refuse what Pillow would only warn of; its own error comes at twice as many pixels."""
    if Image.MAX_IMAGE_PIXELS and picture.width * picture.height > Image.MAX_IMAGE_PIXELS:
        raise UnreadablePicture(f"too large to decode safely: {picture.width} × {picture.height} pixels")


def _plainly(message: str) -> str:
    """Drop addresses of Python objects from a message, so that it is the same on every run."""
    return re.sub(r"<[^>]* at 0x[0-9a-f]+>", "the file", message)
