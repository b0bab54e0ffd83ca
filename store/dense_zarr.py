"""A plain dense array as a Zarr v3 group that Zarr's readers and xarray open without this package."""

from __future__ import annotations

import json
from collections.abc import Sequence
from math import prod
from pathlib import Path

import numpy as np
import zarr

from . import dense as plain
from .dense import ROWS, Block, Coordinate, Dense, Writer
from .views import Array

CHUNK = 1 << 23
"""Bytes that a chunk has at most; a single vector may have more."""


class ZarrFolder(Writer):
    """A folder with one array of the view's name, and one for each coordinate.

    Chunks are not compressed: float32 contributions would gain 5 to 8 % (`docs/architecture.md`). Names
    that are missing, such as labels, are empty strings.
    """

    def __init__(self, folder: Path, dense: Dense) -> None:
        self._folder, self._dense = folder, dense
        self._group = zarr.create_group(folder, zarr_format=3)
        beside = " ".join(name for name in dense.coords if name not in dense.dims)
        self._array = self._group.create_array(
            dense.name,
            shape=dense.shape,
            chunks=chunking(dense.shape, dense.dtype.itemsize),
            dtype=dense.dtype,
            compressors=None,
            fill_value=np.nan if dense.dtype.kind == "f" else 0,
            dimension_names=list(dense.dims),
            attributes={**dense.attrs, **({"coordinates": beside} if beside else {})},
            config={"write_empty_chunks": True},
        )

    def write(self, block: Block, values: Array) -> None:
        """Write one block."""
        self._array[block] = values

    def close(self) -> None:
        """Write the coordinates, and repeat all metadata in the group's, where xarray looks first."""
        for name, coord in self._dense.coords.items():
            self._beside(name, coord)
        metadata = {
            path.parent.name: json.loads(path.read_text())
            for path in sorted(self._folder.glob("*/zarr.json"))
        }
        group = self._folder / "zarr.json"
        inline = {"kind": "inline", "must_understand": False, "metadata": metadata}
        group.write_text(json.dumps({**json.loads(group.read_text()), "consolidated_metadata": inline}))

    def abandon(self) -> None:
        """Nothing is open: each chunk is a file of its own."""

    def _beside(self, name: str, coord: Coordinate) -> None:
        shown = np.where(coord.values == None, "", coord.values) if coord.is_text else coord.values  # noqa: E711
        array = self._group.create_array(
            name,
            shape=shown.shape,
            chunks=tuple(max(1, length) for length in shown.shape),
            dtype=str if coord.is_text else shown.dtype,
            dimension_names=[coord.axis] if coord.axis else [],
        )
        array[...] = shown


def chunking(shape: Sequence[int], itemsize: int) -> tuple[int, ...]:
    """Choose the lengths of a chunk: 64 images of one layer where all layers together are too many bytes.

    >>> chunking((50_000, 12, 12, 512), 4)
    (64, 1, 12, 512)
    """
    if not shape:
        return ()
    together = max(
        1, plain.BLOCK // max(1, prod(shape[1:]) * itemsize)
    )  # rows of one block: it has whole chunks
    chunk = [min(ROWS, 1 << (together.bit_length() - 1), max(1, shape[0])), *shape[1:]]
    for axis in range(1, len(chunk) - 1):
        if prod(chunk) * itemsize > CHUNK:
            chunk[axis] = 1
        while axis == 1 and prod(chunk) * itemsize > CHUNK and chunk[0] > 1:
            chunk[0] //= 2
    return tuple(chunk)
