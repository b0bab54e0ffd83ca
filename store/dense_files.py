"""A plain dense array as one file, .npy or .safetensors, written as a stream: a header, then the values."""

from __future__ import annotations

import json
import os
from abc import abstractmethod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from .dense import Block, Dense, Writer
from .views import Array

_TENSORS = {"<f2": "F16", "<f4": "F32", "<f8": "F64", "<i4": "I32", "<i8": "I64", "|u1": "U8"}
"""What safetensors calls numpy's data types."""


class _Stream(Writer):
    """A file that ends in the array's values in C order."""

    def __init__(self, path: Path, dense: Dense) -> None:
        self._file = path.open("xb")
        self._begin(self._file, dense)

    @abstractmethod
    def _begin(self, file: BinaryIO, dense: Dense) -> None:
        """Write what stands before the values."""

    def write(self, block: Block, values: Array) -> None:
        """Append one block."""
        self._file.write(_little(values).data)

    def close(self) -> None:
        """Let the device have all of it."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def abandon(self) -> None:
        """Close the file."""
        self._file.close()


class NpyFile(_Stream):
    """A .npy file: the values and their shape, and nothing beside them."""

    def _begin(self, file: BinaryIO, dense: Dense) -> None:
        descr = np.lib.format.dtype_to_descr(dense.dtype.newbyteorder("<"))
        header = {"descr": descr, "fortran_order": False, "shape": dense.shape}
        np.lib.format.write_array_header_1_0(file, header)


class SafetensorsFile(_Stream):
    """A .safetensors file: the array under the view's name, and coordinates that are numbers.

    What it was made from stands in its metadata, as JSON under `belvedere`.
    """

    def _begin(self, file: BinaryIO, dense: Dense) -> None:
        beside = {name: _little(each.values) for name, each in dense.coords.items() if not each.is_text}
        beside = dict(sorted(beside.items(), key=lambda item: -item[1].itemsize))
        facts: dict[str, Any] = {
            "__metadata__": {"belvedere": json.dumps({**dense.attrs, "dims": dense.dims}, ensure_ascii=False)}
        }
        end = 0
        for name, values in beside.items():
            facts[name], end = _tensor(values.dtype, values.shape, end)
        facts[dense.name], _ = _tensor(dense.dtype, dense.shape, end)
        header = json.dumps(facts, ensure_ascii=False).encode()
        header += b" " * (-len(header) % 8)
        file.write(len(header).to_bytes(8, "little") + header)
        for values in beside.values():
            file.write(values.data)


def _little(values: Array) -> Array:
    """Lay values out as they stand in a file."""
    return np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<"))


def _tensor(dtype: np.dtype[Any], shape: tuple[int, ...], start: int) -> tuple[dict[str, Any], int]:
    """Describe a tensor that begins at an offset; give where it ends, too."""
    end = start + int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    kind = _TENSORS[dtype.newbyteorder("<").str]
    return {"dtype": kind, "shape": list(shape), "data_offsets": [start, end]}, end
