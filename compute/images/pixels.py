"""Pictures as what they show: equal pixels are one picture, whatever file they came from."""

from __future__ import annotations

import hashlib
import io

from PIL import Image


def pixels_of(picture: Image.Image) -> str:
    """Give the digest of a picture's pixels and size, in RGB."""
    upright = picture.convert("RGB")
    head = f"{upright.width}x{upright.height} ".encode()
    return hashlib.sha256(head + upright.tobytes()).hexdigest()


def png(picture: Image.Image) -> bytes:
    """Write a picture as PNG."""
    sink = io.BytesIO()
    picture.convert("RGB").save(sink, "PNG")
    return sink.getvalue()
