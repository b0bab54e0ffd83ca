"""Arrays in files that others have written, read block by block; no code in them is run."""

from __future__ import annotations

import hashlib
import os
import pickle
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..store.errors import BadSource, UnknownName
from ..store.views import Array

FLOATS = ("float16", "bfloat16", "float32", "float64")
"""The data types that an imported array can have; float32, in which it is kept, holds the first three."""
PIECE = 1 << 24
"""Bytes of a file that are read at once for its digest."""
_STORED = {"F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64"}
"""What safetensors calls these data types."""

Stamp = tuple[int, int, int]
Tick = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class FileArray:
    """One array in a file, of which nothing but the head has been read."""

    path: Path
    """The file."""
    key: str | None
    """The array's name in the file; None where it has none."""
    shape: tuple[int, ...]
    """Its shape."""
    dtype: str
    """Its data type, one of `FLOATS`."""
    block: Callable[[int, int], Array]
    """Gives rows from one to before another, bfloat16 as float32; opens the file anew, so that what it has
    mapped into memory does not add up."""
    stamp: Stamp
    """What told the file's state when it was opened."""

    @property
    def name(self) -> str:
        """The file's name, with the array's where it has one."""
        return f"{self.path.name}[{self.key}]" if self.key else self.path.name

    def rows(self, start: int, stop: int) -> Array:
        """Read some rows; `BadSource` where the file is not the one that was opened any more."""
        self._still()
        found = self.block(start, stop)
        self._still()
        return found

    def digest(self, tick: Tick) -> str:
        """Give the SHA-256 of the whole file; `tick` is told how many bytes were read."""
        total = hashlib.sha256()
        with self.path.open("rb") as file:
            while piece := file.read(PIECE):
                total.update(piece)
                tick(len(piece))
        self._still()
        return total.hexdigest()

    def _still(self) -> None:
        if _stamp(self.path) != self.stamp:
            raise BadSource(f"{self.path} changed while it was read; import it once it is written")


def find(path: str | os.PathLike[str], key: str | None) -> FileArray:
    """Open an array in a .npy, .pt, .pth or .safetensors file, without reading it, nor running code in it.

    A file that torch wrote before version 1.6 is read whole. Raises `BadSource` for a file that is not there,
    not whole, or holds no such array, and `UnknownName` for a key that it does not have.
    """
    file = Path(path).expanduser()
    if file.suffix not in _READERS:
        listed = ", ".join(_READERS)
        raise BadSource(f"{file} ends in {file.suffix!r}; arrays are imported from {listed}")
    if not file.is_file():
        raise BadSource(f"no file {file}")
    try:
        stamp = _stamp(file)
        chosen, shape, dtype, block = _READERS[file.suffix](file, key)
    except OSError as error:
        raise BadSource(f"{file} cannot be read: {error.strerror or error}") from error
    if dtype not in FLOATS:
        raise BadSource(f"{file} holds {dtype}; what can be imported is {', '.join(FLOATS)}")
    return FileArray(file, chosen, shape, dtype, block, stamp)


Opened = tuple[str | None, tuple[int, ...], str, Callable[[int, int], Array]]


def _npy(file: Path, key: str | None) -> Opened:
    if key is not None:
        raise BadSource(f"{file} holds one array without a name, so key={key!r} has no place")
    try:
        found = np.lib.format.open_memmap(file, mode="r")  # refuses pickled objects, and files cut short
    except (ValueError, EOFError) as error:
        raise BadSource(f"{file} is no whole .npy file of numbers: {error}") from error

    def block(start: int, stop: int) -> Array:
        return np.array(np.lib.format.open_memmap(file, mode="r")[start:stop])

    return None, found.shape, found.dtype.name, block


def _safetensors(file: Path, key: str | None) -> Opened:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, "pt") as opened:
            name = _chosen(file, list(opened.keys()), key)
            part = opened.get_slice(name)
            shape, dtype = tuple(part.get_shape()), part.get_dtype()
    except SafetensorError as error:
        raise BadSource(f"{file} is no whole .safetensors file: {error}") from error

    def block(start: int, stop: int) -> Array:
        with safe_open(file, "pt") as opened:
            return _array(opened.get_slice(name)[start:stop])

    return name, shape, _STORED.get(dtype, dtype), block


def _torch(file: Path, key: str | None) -> Opened:
    import torch

    found = _loaded(file)
    name: str | None = None
    if isinstance(found, dict):
        tensors = {each: value for each, value in found.items() if isinstance(value, torch.Tensor)}
        name = _chosen(file, [each for each in tensors if isinstance(each, str)], key)
        found = tensors[name]
    elif key is not None:
        raise BadSource(f"{file} holds no names, so key={key!r} has no place")
    if not isinstance(found, torch.Tensor) or found.layout != torch.strided:
        sparse = isinstance(found, torch.Tensor)
        what = "a tensor that is sparse" if sparse else f"a {type(found).__name__}"
        raise BadSource(f"{file} holds {what}; what can be imported is a tensor, or a dictionary of tensors")
    held = None if _is_mapped(file) else found

    def block(start: int, stop: int) -> Array:
        whole: Any = held
        if whole is None:
            whole = _loaded(file) if name is None else _loaded(file)[name]
        return _array(whole[start:stop])

    return name, tuple(found.shape), str(found.dtype).removeprefix("torch."), block


def _is_mapped(file: Path) -> bool:
    """Tell whether torch maps a file into memory: what it wrote as a zip file, since version 1.6."""
    with file.open("rb") as head:
        return head.read(4) == b"PK\x03\x04"


def _loaded(file: Path) -> Any:
    """Load what torch saved, mapped into memory where that can be; only plain data are admitted."""
    import torch

    mapped = _is_mapped(file)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about sparse tensors, which are refused
            return torch.load(file, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as error:
        raise BadSource(
            f"{file} is no whole file of tensors: it has other objects, which could run code, or is damaged. "
            "Save the tensor alone with torch.save"
        ) from error
    except Exception as error:  # a broken file makes torch raise all manner of things
        told = str(error).partition("\n")[0][:200]
        raise BadSource(
            f"{file} is no whole file of tensors that torch wrote ({type(error).__name__}: {told})"
        ) from error


_READERS: dict[str, Callable[[Path, str | None], Opened]] = {
    ".npy": _npy,
    ".pt": _torch,
    ".pth": _torch,
    ".safetensors": _safetensors,
}


def _chosen(file: Path, names: list[str], key: str | None) -> str:
    """Give the name of the array that is asked for: the only one, unless a key says which."""
    if key is not None:
        if key not in names:
            raise UnknownName(f"tensor in {file}", key, names)
        return key
    if len(names) != 1:
        listed = ", ".join(sorted(names)[:8]) + (", …" if len(names) > 8 else "")
        there = f"{len(names)} tensors ({listed}): say which with key=… (--key)" if names else "no tensor"
        raise BadSource(f"{file} holds {there}")
    return names[0]


def _array(tensor: Any) -> Array:
    """Copy a tensor to numpy, which has no bfloat16."""
    import torch

    wide = tensor.detach().float() if tensor.dtype == torch.bfloat16 else tensor.detach()
    return np.array(wide.numpy())


def _stamp(path: Path) -> Stamp:
    facts = path.stat()
    return facts.st_ino, facts.st_size, facts.st_mtime_ns
