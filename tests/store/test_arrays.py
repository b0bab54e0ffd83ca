"""Units as Zarr arrays, alone and stitched into one."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

import belvedere
from belvedere.query.lazy.array import LazyArray
from belvedere.store.arrays import check_arrays, encode, predicted_bytes, shard_name, unpack
from belvedere.store.views import Member
from tests.small_views import Letters, small_engine, text_set
from tests.worlds import records

MEMBER = Member("factor", ("image", "layer", "head_dim"), (300, 3, 4), "float32", (64, 1, 4))


def chunk(member: Member, length: int, block: int) -> bytes:
    """Encode so many rows, and give the bytes of the one shard."""
    data = np.arange(length * 12, dtype=member.dtype).reshape(length, 3, 4)
    return encode(member, data, block)["c/0/0/0"]


def test_a_unit_is_one_shard_and_its_metadata() -> None:
    assert sorted(encode(MEMBER, np.zeros((44, 3, 4)), 256)) == ["c/0/0/0", "zarr.json"]


def test_zarr_itself_opens_a_unit_of_any_length(tmp_path: Path) -> None:
    for length in (1, 44, 64, 65, 256):
        data = np.random.default_rng(0).normal(size=(length, 3, 4)).astype(np.float32)
        folder = tmp_path / str(length)
        for name, content in encode(MEMBER, data, 256).items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        array = zarr.open_array(folder, mode="r")
        assert (array.shape, array.metadata.dimension_names) == (data.shape, MEMBER.dims)  # type: ignore[union-attr]
        np.testing.assert_array_equal(array[:], data)


@pytest.mark.parametrize("neurons", [5, 256, 384, 1000])
def test_the_last_axis_need_not_be_a_number_of_whole_chunks(neurons: int, tmp_path: Path) -> None:
    member = Member("activation", ("image", "neuron"), (300, neurons), "float32", (64, min(256, neurons)))
    data = np.random.default_rng(1).normal(size=(44, neurons)).astype(np.float32)
    written = encode(member, data, 256)
    assert len(written["c/0/0"]) == predicted_bytes(member, 44, 256)
    for name, content in written.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    np.testing.assert_array_equal(zarr.open_array(tmp_path, mode="r")[:], data)


def test_every_inner_chunk_ends_in_a_checksum() -> None:
    codecs = json.loads(encode(MEMBER, np.zeros((44, 3, 4)), 256)["zarr.json"])["codecs"]
    (sharding,) = codecs
    assert [codec["name"] for codec in sharding["configuration"]["codecs"]] == ["bytes", "crc32c"]
    assert [codec["name"] for codec in sharding["configuration"]["index_codecs"]] == ["bytes", "crc32c"]


@given(st.integers(1, 256), st.sampled_from(["float32", "float16", "float64"]))
def test_the_bytes_of_a_unit_are_predicted_exactly(length: int, dtype: str) -> None:
    member = Member("factor", MEMBER.dims, MEMBER.shape, dtype, MEMBER.inner)
    assert len(chunk(member, length, 256)) == predicted_bytes(member, length, 256)


def test_chunks_of_nothing_but_zeros_or_nans_are_written() -> None:
    for value in (0.0, np.nan):
        written = encode(MEMBER, np.full((100, 3, 4), value, np.float32), 256)
        assert len(written["c/0/0/0"]) == predicted_bytes(MEMBER, 100, 256)


def test_a_unit_is_encoded_where_an_event_loop_runs_as_in_a_notebook() -> None:
    async def cell() -> dict[str, bytes]:
        return encode(MEMBER, np.zeros((2, 3, 4)), 256)

    assert asyncio.run(cell()) == encode(MEMBER, np.zeros((2, 3, 4)), 256)


def test_arrays_that_are_not_those_declared_are_refused() -> None:
    with pytest.raises(ValueError, match=r"factor: made \(2, 3\), declared \(44, 3, 4\)"):
        check_arrays([MEMBER], {"factor": np.zeros((2, 3))}, 44)
    with pytest.raises(ValueError, match=r"factor: made None"):
        check_arrays([MEMBER], {}, 44)


@pytest.mark.parametrize("count", [1, 3, 4, 5, 8, 9])
def test_units_with_a_ragged_last_one_are_read_as_one_array(tmp_path: Path, count: int) -> None:
    texts = ["a" * n + "b" for n in range(count)]
    view = LazyArray(small_engine(tmp_path), Letters(text_set(texts)))
    expected = np.array([[n, 1, 0] for n in range(count)], np.float32)
    np.testing.assert_array_equal(view[:], expected)
    np.testing.assert_array_equal(view[::-2, 1:], expected[::-2, 1:])
    assert len(records(tmp_path)) == -(-count // 4)


def test_the_plan_predicts_what_a_fill_puts_on_disk(store: belvedere.Store) -> None:
    plan = store.view("head_contributions").plan()
    store.view("head_contributions").fill()
    chunks = [
        path for path in (store.path / "data").rglob("*") if path.is_file() and path.name != "zarr.json"
    ]
    assert sum(path.stat().st_size for path in chunks) == plan.bytes


@pytest.mark.parametrize(
    ("shape", "inner", "block"),
    [((300, 3, 4), (64, 1, 4), 256), ((70, 1000), (32, 256), 64), ((9,), (4,), 8), ((5, 7, 3), (2, 3, 2), 4)],
)
@pytest.mark.parametrize("dtype", ["float32", "float16", "float64"])
def test_a_shard_read_by_hand_is_what_zarr_reads(
    shape: tuple[int, ...], inner: tuple[int, ...], block: int, dtype: str
) -> None:
    member = Member("any", tuple("abc"[: len(shape)]), shape, dtype, inner)
    for length in (1, block - 1, block):
        data = np.random.default_rng(2).normal(size=(length, *shape[1:])).astype(dtype)
        written = encode(member, data, block)
        found = unpack(written[shard_name(member)], member, block, length)
        assert (found.dtype, found.shape) == (data.dtype, data.shape)
        np.testing.assert_array_equal(found, data)


def test_a_shard_with_a_flipped_bit_or_a_missing_chunk_is_refused() -> None:
    whole = chunk(MEMBER, 100, 256)
    for place in (0, 700, len(whole) - 5, len(whole) - 1):
        spoilt = bytearray(whole)
        spoilt[place] ^= 4
        with pytest.raises(ValueError, match="a checksum does not match"):
            unpack(bytes(spoilt), MEMBER, 256, 100)
    with pytest.raises(ValueError, match="a checksum does not match"):
        unpack(whole, MEMBER, 256, 256)
    for cut in (b"", whole[:3], whole[:90]):
        with pytest.raises(ValueError, match="a checksum does not match"):
            unpack(cut, MEMBER, 256, 100)
