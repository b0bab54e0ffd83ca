"""Blocks cover an array once, in C order; what is written is read by each format's own reader."""

from __future__ import annotations

import json
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open

from belvedere.store import dense
from belvedere.store.dense import Coordinate, Dense, Writer, blocks
from belvedere.store.dense_files import NpyFile, SafetensorsFile
from belvedere.store.dense_rows import ParquetRows
from belvedere.store.dense_zarr import CHUNK, ZarrFolder, chunking
from belvedere.store.views import Array

SHAPES = st.lists(st.integers(1, 5), min_size=1, max_size=4)


@given(SHAPES, st.integers(1, 200))
def test_blocks_follow_one_another_in_c_order_and_cover_everything(shape: list[int], size: int) -> None:
    numbers = np.arange(prod(shape)).reshape(shape)
    found = [numbers[block].ravel() for block in blocks(shape, 1, size)]
    np.testing.assert_array_equal(np.concatenate(found), np.arange(prod(shape)))
    most = max(size, shape[-1] if len(shape) > 1 else 1)  # a vector is never cut
    assert max(map(len, found)) <= most


@given(st.tuples(st.integers(1, 300), *[st.integers(1, 40)] * 3), st.sampled_from([2, 4, 8]))
def test_no_two_blocks_write_to_one_chunk(shape: tuple[int, ...], itemsize: int) -> None:
    shape = (*shape[:3], shape[3] * 64)
    chunk = chunking(shape, itemsize)
    assert prod(chunk) * itemsize <= CHUNK
    for block in blocks(shape, itemsize, dense.BLOCK):
        for part, step, length in zip(block, chunk, shape, strict=True):
            assert part.start % step == 0
            assert part.stop % step == 0 or part.stop == length


@pytest.mark.parametrize(
    ("shape", "chunk"),
    [
        ((50_000, 12, 12, 512), (64, 1, 12, 512)),
        ((50_000, 24, 16, 257, 768), (1, 1, 1, 257, 768)),
        ((50_000, 512), (64, 512)),
        ((12, 12, 67, 67), (12, 12, 67, 67)),
        ((), ()),
    ],
)
def test_chunks_are_64_images_of_a_layer_where_that_is_little(
    shape: tuple[int, ...], chunk: tuple[int, ...]
) -> None:
    assert chunking(shape, 4) == chunk


VALUES = np.arange(5 * 2 * 3, dtype=np.float32).reshape(5, 2, 3)
VALUES[3] = np.nan
NAMES = np.array(["a", None, "ü", "d", "e"], dtype=object)
HELD = Dense(
    name="things",
    dims=("image", "layer", "joint"),
    shape=VALUES.shape,
    dtype=VALUES.dtype,
    coords={
        "image_id": Coordinate("image", np.array([7, 8, 9, 10, 11])),
        "label": Coordinate("image", NAMES),
        "layer": Coordinate("layer", np.array([4, 1])),
        "head": Coordinate(None, np.array(2)),
        "kind": Coordinate(None, np.array("x", dtype=object)),
    },
    attrs={"view": "things", "image_set": "photos"},
    absent=frozenset({3}),
)


def written(writer: type[Any], path: Path, held: Dense = HELD, values: Array = VALUES) -> Path:
    """Write values in blocks of two rows."""
    made: Writer = writer(path, held)
    for block in blocks(held.shape, held.dtype.itemsize, 2 * 6 * 4):
        made.write(block, values[block])
    made.close()
    return path


def test_npy_has_the_values(tmp_path: Path) -> None:
    found = np.load(written(NpyFile, tmp_path / "a.npy"), mmap_mode="r")
    np.testing.assert_array_equal(found, VALUES)
    assert found.dtype == np.float32


def test_safetensors_has_the_values_and_numbers_beside_them(tmp_path: Path) -> None:
    with safe_open(written(SafetensorsFile, tmp_path / "a.safetensors"), "np") as file:
        found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a mapping
        facts = json.loads(file.metadata()["belvedere"])
    assert sorted(found) == ["head", "image_id", "layer", "things"]
    np.testing.assert_array_equal(found["things"], VALUES)
    assert (found["image_id"].tolist(), found["layer"].tolist(), found["head"].item()) == (
        [7, 8, 9, 10, 11],
        [4, 1],
        2,
    )
    assert facts == {"view": "things", "image_set": "photos", "dims": ["image", "layer", "joint"]}


def test_zarr_has_the_values_names_and_what_they_are(tmp_path: Path) -> None:
    group = zarr.open_group(written(ZarrFolder, tmp_path / "a.zarr"), mode="r")
    array: Any = group["things"]
    np.testing.assert_array_equal(array[...], VALUES)
    assert array.metadata.dimension_names == ("image", "layer", "joint")
    assert dict(array.attrs) == {
        "view": "things",
        "image_set": "photos",
        "coordinates": "image_id label head kind",
    }
    beside: dict[str, Any] = {name: group[name] for name in ("image_id", "label", "layer", "head", "kind")}
    assert {name: np.asarray(each[...]).tolist() for name, each in beside.items()} == {
        "image_id": [7, 8, 9, 10, 11],
        "label": ["a", "", "ü", "d", "e"],
        "layer": [4, 1],
        "head": 2,
        "kind": "x",
    }


def test_a_chunk_of_nan_alone_is_written_like_any_other(tmp_path: Path) -> None:
    held = Dense("x", ("image", "joint"), (2, 3), np.dtype("float32"), {}, {})
    written(ZarrFolder, tmp_path / "a.zarr", held, np.full((2, 3), np.nan, np.float32))
    assert (tmp_path / "a.zarr" / "x" / "c" / "0" / "0").stat().st_size == 24


def test_parquet_has_a_row_for_each_vector_and_null_where_there_is_none(tmp_path: Path) -> None:
    table = pq.read_table(written(ParquetRows, tmp_path / "a.parquet"))
    rows = [
        {
            "image_set": "photos",
            "image_id": 7 + image,
            "label": NAMES[image],
            "layer": (4, 1)[layer],
            "head": 2,
            "kind": "x",
            "vector": None if image == 3 else VALUES[image, layer].tolist(),
        }
        for image in range(5)
        for layer in range(2)
    ]
    assert table.to_pylist() == rows
    metadata = table.schema.metadata or {}
    assert json.loads(metadata[b"belvedere"])["dims"] == ["image", "layer", "joint"]


def test_one_axis_is_a_column_of_numbers_and_none_is_a_single_row(tmp_path: Path) -> None:
    line = Dense(
        "x", ("image",), (5,), np.dtype("float32"), {"image_id": HELD.coords["image_id"]}, {}, frozenset({3})
    )
    found = pq.read_table(written(ParquetRows, tmp_path / "a.parquet", line, VALUES[:, 0, 1]))
    assert found.to_pydict() == {"image_id": [7, 8, 9, 10, 11], "value": [1.0, 7.0, 13.0, None, 25.0]}
    point = Dense("x", (), (), np.dtype("float32"), {"head": HELD.coords["head"]}, {})
    found = pq.read_table(written(ParquetRows, tmp_path / "b.parquet", point, VALUES[0, 0, 1]))
    assert found.to_pydict() == {"head": [2], "value": [1.0]}
    assert np.load(written(NpyFile, tmp_path / "b.npy", point, VALUES[0, 0, 1])).tolist() == 1.0
