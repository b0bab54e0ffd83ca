"""PNG files whose bytes depend on their pixels alone."""

import struct
import zlib

import numpy as np
from numpy.typing import NDArray


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def encode_png(pixels: NDArray[np.uint8]) -> bytes:
    """Encode a small picture as PNG without compression.

    Compressed bytes differ between zlib releases; a stored block (RFC 1951, section 3.2.4) never does.

    Args:
        pixels: RGB of shape (height, width, 3); a row filter byte included, at most 65,535 bytes.

    Returns:
        The bytes of the file.

    Raises:
        ValueError: The picture does not fit in one stored block.
    """
    height, width, _ = pixels.shape
    raw = b"".join(b"\0" + row.tobytes() for row in np.ascontiguousarray(pixels))
    if len(raw) > 0xFFFF:
        raise ValueError(
            f"a picture of {height} × {width} has {len(raw)} bytes, more than 65535: make it smaller"
        )
    stored = b"\x78\x01\x01" + struct.pack("<HH", len(raw), len(raw) ^ 0xFFFF) + raw
    body = stored + struct.pack(">I", zlib.adler32(raw))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", body) + _chunk(b"IEND", b"")
