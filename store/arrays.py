"""Arrays of a unit as Zarr v3, one shard each; many units stitched into one array on read."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Any

import google_crc32c
import numpy as np
import zarr
from zarr.abc.buffer import Buffer, BufferPrototype
from zarr.abc.store import (
    ByteRequest,
    OffsetByteRequest,
    RangeByteRequest,
    Store,
    SuffixByteRequest,
)
from zarr.codecs import BytesCodec, Crc32cCodec, ShardingCodec
from zarr.core.buffer import default_buffer_prototype
from zarr.storage import MemoryStore

from .objects import Objects
from .views import Array, Axis, Member

_CODECS = (Crc32cCodec(),)
_BUFFER = default_buffer_prototype().buffer


def encode(member: Member, data: Array, block: int) -> dict[str, bytes]:
    """Write one array of a unit as a Zarr v3 array of one shard: file name to bytes.

    Inner chunks carry a crc32c, and chunks that hold only the fill value are written like any other.
    `data` is "unit-axis …": as long as the unit, at most `block`, on its first axis.
    """
    files: dict[str, Buffer] = {}
    shape = (len(data), *member.shape[1:])
    array = zarr.create_array(MemoryStore(files), shape=shape, **_layout(member, block))
    array[...] = data.astype(member.dtype, copy=False)
    return {name: files[name].to_bytes() for name in sorted(files)}


def decode(data: Mapping[str, bytes], prefix: str) -> Array:
    """Read back an array that `encode` wrote, from files by name; those of the array begin with a prefix.

    Raises `ValueError` for a chunk that is not there, or whatever zarr does for bytes that are no array.
    """
    mine = {name.removeprefix(prefix): each for name, each in data.items() if name.startswith(prefix)}
    if len(mine) < 2:
        raise ValueError("it has no chunk")
    files: dict[str, Buffer] = {name: _BUFFER.from_bytes(each) for name, each in mine.items()}
    return np.asarray(zarr.open_array(MemoryStore(files, read_only=True), mode="r")[...])


def shard_name(member: Member) -> str:
    """Name the file with the one shard of a unit's array."""
    return "/".join(["c", *("0" for _ in member.shape)])


def unpack(shard: bytes, member: Member, block: int, length: int) -> Array:
    """Read the shard of a unit's array by hand: "unit-axis …", as zarr reads it, each chunk checked.

    A shard has its inner chunks, each with a crc32c behind it, in any order, and at its end where each of
    them begins and how long it is, with a crc32c as well. zarr goes through them one by one in Python and
    copies each several times; for arrays that are read whole, that is most of the time. `ValueError` where a
    checksum does not match or a chunk is not there.
    """
    full = _shard(member, block)
    counts = [whole // inner for whole, inner in zip(full, member.inner, strict=True)]
    size = 16 * int(np.prod(counts))
    data = np.frombuffer(shard, np.uint8)
    places = _checked(data[-size - 4 :]).view("<u8").reshape(*counts, 2)
    lengths = (length, *member.shape[1:])
    found = np.empty(lengths, np.dtype(member.dtype).newbyteorder("<"))
    for place in np.ndindex(*(-(-n // inner) for n, inner in zip(lengths, member.inner, strict=True))):
        start, nbytes = (int(each) for each in places[place])
        values = _checked(data[start : start + nbytes]).view(found.dtype).reshape(member.inner)
        corner = [at * inner for at, inner in zip(place, member.inner, strict=True)]
        part = tuple(slice(at, at + inner) for at, inner in zip(corner, member.inner, strict=True))
        inside = found[part]
        inside[...] = values[tuple(slice(n) for n in inside.shape)]
    return found


def _checked(data: Array) -> Array:
    """Take the crc32c off the end of some bytes; `ValueError` where it is not theirs."""
    if len(data) < 4 or google_crc32c.value(data[:-4]) != int.from_bytes(data[-4:].tobytes(), "little"):
        raise ValueError("a checksum does not match")
    return data[:-4]


def _layout(member: Member, block: int) -> dict[str, Any]:
    return {
        "dtype": member.dtype,
        "shards": _shard(member, block),
        "chunks": member.inner,
        "compressors": _CODECS,
        "fill_value": np.nan if np.dtype(member.dtype).kind == "f" else 0,
        "dimension_names": list(member.dims),
        "config": {"write_empty_chunks": True},
        "zarr_format": 3,
    }


def _shard(member: Member, block: int) -> tuple[int, ...]:
    """Give the shape of a unit's one shard: whole inner chunks, so that it may reach past the last axes."""
    sizes = zip(member.shape[1:], member.inner[1:], strict=True)
    return (block, *(max(1, -(-length // inner)) * inner for length, inner in sizes))


class Stitched(Store):
    """A read-only Zarr store that shows many units' arrays as one, and has no array but that.

    The chunk `c/5/0/0` of the whole is the chunk `c/0/0/0` of the unit at index 5; `locate` gives the
    folder of a unit's array and raises for a unit that is not kept, so that no fill value is ever read.
    """

    supports_writes = False
    supports_deletes = False
    supports_listing = True
    supports_partial_writes = False

    def __init__(self, objects: Objects, metadata: bytes, locate: Callable[[int], str]) -> None:
        super().__init__(read_only=True)
        self._objects, self._metadata, self._locate = objects, metadata, locate

    def __eq__(self, other: object) -> bool:
        return self is other

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Read the metadata, a chunk, or a part of one."""
        if key == "zarr.json":
            return prototype.buffer.from_bytes(self._metadata)
        if not key.startswith("c/"):
            return None
        head, index, *rest = key.split("/")
        path = "/".join([self._locate(int(index)), head, "0", *rest])
        data = _read(self._objects, path, byte_range)
        if not data:  # zarr would take no bytes for a chunk that is not there, and make up its values
            raise ValueError(f"{path} is empty")
        return prototype.buffer.from_bytes(data)

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        """Read several parts, one after the other."""
        return [await self.get(key, prototype, part) for key, part in key_ranges]

    async def exists(self, key: str) -> bool:
        """Tell whether this is the metadata's key or looks like a chunk's."""
        return key == "zarr.json" or key.startswith("c/")

    async def set(self, key: str, value: Buffer) -> None:
        """Refuse: units are never rewritten."""
        raise PermissionError(f"{key}: a stitched array is read-only")

    async def delete(self, key: str) -> None:
        """Refuse: units are never rewritten."""
        raise PermissionError(f"{key}: a stitched array is read-only")

    async def list(self) -> AsyncIterator[str]:
        """List the metadata; chunks are found by their keys."""
        yield "zarr.json"

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """List the metadata where it lies below the prefix."""
        if "zarr.json".startswith(prefix):
            yield "zarr.json"

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """List the metadata at the top."""
        if not prefix:
            yield "zarr.json"


def _read(objects: Objects, path: str, part: ByteRequest | None) -> bytes:
    match part:
        case None:
            return objects.get(path)
        case RangeByteRequest(start, end):
            return objects.get_range(path, start, end)
        case OffsetByteRequest(offset):
            return objects.get_range(path, offset, objects.size(path))
        case SuffixByteRequest(suffix):
            return objects.get_tail(path, suffix)
        case _:
            raise ValueError(f"{path}: unknown byte request {part!r}")


def stitch(objects: Objects, member: Member, block: int, locate: Callable[[int], str]) -> zarr.Array[Any]:
    """Open the arrays of all units of a view as one, of the whole view's shape."""
    return zarr.open_array(Stitched(objects, _metadata(member, block), locate), mode="r")


def _metadata(member: Member, block: int) -> bytes:
    """Write the metadata that the array would have, were it one; `encode` lays out each unit likewise."""
    layout = _layout(member, block)
    inner: list[BytesCodec | Crc32cCodec] = [BytesCodec(), Crc32cCodec()]
    facts = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(member.shape),
        "data_type": member.dtype,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(layout["shards"])}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": "NaN" if np.dtype(member.dtype).kind == "f" else 0,
        "codecs": [ShardingCodec(chunk_shape=member.inner, codecs=tuple(inner)).to_dict()],
        "attributes": {},
        "dimension_names": list(member.dims),
        "storage_transformers": [],
    }
    return json.dumps(facts).encode()


def select(array: zarr.Array[Any], selection: Sequence[Axis]) -> Array:
    """Read along each axis on its own, as `numpy.ix_` does; missing axes at the end are taken whole."""
    if all(isinstance(axis, slice) for axis in selection):
        return np.asarray(array[tuple(selection)])
    return np.asarray(array.oindex[tuple(selection)])


def predicted_bytes(member: Member, length: int, block: int) -> int:
    """Tell how many bytes `encode` will make of an array of this length; metadata aside.

    Whole inner chunks are written, each with 4 bytes of crc32c, and an index of 16 bytes for every inner
    chunk of the shard.
    """
    full = _shard(member, block)
    covered = (length, *full[1:])
    chunks = int(np.prod([-(-n // inner) for n, inner in zip(covered, member.inner, strict=True)]))
    slots = int(np.prod([-(-n // inner) for n, inner in zip(full, member.inner, strict=True)]))
    one = int(np.prod(member.inner)) * np.dtype(member.dtype).itemsize + 4
    return chunks * one + slots * 16 + 4


def check_arrays(members: Iterable[Member], arrays: Mapping[str, Array], length: int) -> None:
    """Refuse arrays that are not those that the view declares; `ValueError` says which."""
    for member in members:
        wanted = (length, *member.shape[1:])
        found = arrays[member.name].shape if member.name in arrays else None
        if found != wanted:
            raise ValueError(f"{member.name}: made {found}, declared {wanted}")
