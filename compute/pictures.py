"""Bytes of pictures, read, checked against what was added, and decoded."""

from __future__ import annotations

import io
import re
import warnings
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from ..store import digest
from ..store.errors import PictureChanged, UnreadablePicture

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})
"""File names that count as pictures when a folder is read."""
GONE = "gone"
"""Stands for the digest of a file that was not there any more when its set was added again."""
DECODING = 2
"""Raised when a file would be decoded to other pixels: part of what everything computed follows from."""
DEMO = "demo:scenes/"
"""Pictures of the demo world are painted when they are read; this and a number is their path."""


warnings.filterwarnings("ignore", module=r"PIL\.")  # once: threads must not touch the filters


def read(path: str) -> bytes:
    """Read a picture's bytes; `OSError` where there is no such file."""
    if path.startswith(DEMO):
        from ..demo.scenes import scene

        return scene(int(path.removeprefix(DEMO))).png()
    return Path(path).read_bytes()


def exists(path: str) -> bool:
    """Tell whether a picture is still there."""
    return path.startswith(DEMO) or Path(path).is_file()


def decode(data: bytes) -> Image.Image:
    """Decode a picture as RGB; `UnreadablePicture` for what is none, is cut short, or is absurdly large."""
    try:
        with Image.open(io.BytesIO(data)) as picture:
            _refuse_bombs(picture)
            return picture.convert("RGB")
    except UnreadablePicture:
        raise
    except UnidentifiedImageError as error:
        raise UnreadablePicture("not a picture in a known format") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UnreadablePicture(f"too large to decode safely: {error}") from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise UnreadablePicture(_plainly(str(error)) or type(error).__name__) from error


def fetch(path: str, sha256: str) -> Image.Image:
    """Read and decode a picture that was added with this digest.

    Raises `UnreadablePicture`, or `PictureChanged` where the file is gone or has other bytes now.
    """
    if sha256 == GONE:
        raise UnreadablePicture("the file was gone when its image set was last added")
    try:
        data = read(path)
    except OSError as error:
        raise PictureChanged(
            f"{path} cannot be read any more ({error.strerror}); add its image set again to go on without it"
        ) from error
    if digest.of_bytes(data) != sha256:
        raise PictureChanged(
            f"{path} has changed since it was added; add its image set again to take it as it is now"
        )
    return decode(data)


def measure(data: bytes) -> tuple[int, int] | None:
    """Give width and height from a picture's header; None where it has none."""
    try:
        with Image.open(io.BytesIO(data)) as picture:
            return picture.size
    except Exception:  # Pillow's readers raise whatever a damaged header leads them to
        return None


def _refuse_bombs(picture: Image.Image) -> None:
    """Refuse what Pillow would only warn of; its own error comes at twice as many pixels."""
    if Image.MAX_IMAGE_PIXELS and picture.width * picture.height > Image.MAX_IMAGE_PIXELS:
        raise UnreadablePicture(f"too large to decode safely: {picture.width} × {picture.height} pixels")


def _plainly(message: str) -> str:
    """Drop addresses of Python objects from a message, so that it is the same on every run."""
    return re.sub(r"<[^>]* at 0x[0-9a-f]+>", "the file", message)
