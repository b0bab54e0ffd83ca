"""Copies for other programs have what a read gives; they are whole or not there, and say what they lack."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest
import xarray
from safetensors import safe_open

import belvedere
from belvedere.compute.running.report import Progress
from belvedere.query import question
from belvedere.query.engine import Engine
from belvedere.query.exchange.export import facts_of
from belvedere.query.lazy.array import LazyArray
from belvedere.query.lazy.table import LazyTable
from belvedere.query.store import Store
from belvedere.store import dense
from belvedere.store.errors import AbsentRows, BadDestination, BadSource, MissingUnits, UnitFailed
from belvedere.store.views import Array, Axis, Coord, Member, Param, Parts
from tests.small_views import Letters, LetterSums, Numbers, small_engine, text_set
from tests.worlds import World, add_pictures, records

ARRAYS = ("zarr", "npy", "safetensors", "parquet")
VIEWS = ("head_contributions", "head_moments", "image_embeddings", "residual_contributions", "tower_maps")


def values(path: Path, name: str, shape: tuple[int, ...]) -> Any:
    """Read a copy with the format's own reader."""
    if path.suffix == ".npy":
        return np.load(path)
    if path.suffix == ".zarr":
        with xarray.open_zarr(path) as found:
            return found[name].values
    if path.suffix == ".safetensors":
        with safe_open(path, "np") as file:
            return file.get_tensor(name)
    table = pq.read_table(path)
    return np.array(table.column(table.num_columns - 1).to_pylist()).reshape(shape)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of a few rows, so that small arrays have many."""
    monkeypatch.setattr(dense, "BLOCK", 4000)


@pytest.fixture
def torn(world: World, tmp_path: Path) -> Store:
    """A store of ten pictures of which 3 and 6 are none."""
    photos = add_pictures(tmp_path / "torn", range(10))
    for number in (3, 6):
        (photos / f"{number:05}.png").write_bytes(b"no picture")
    store = belvedere.open(tmp_path / "store")
    store.add_model("m", world.source)
    store.add_images("torn", photos)
    return store


@pytest.mark.parametrize("suffix", ARRAYS)
@pytest.mark.parametrize("name", VIEWS)
@pytest.mark.usefixtures("small_blocks")
def test_a_copy_has_what_a_read_gives(kept: Store, tmp_path: Path, name: str, suffix: str) -> None:
    view, path = kept.view(name), tmp_path / f"copy.{suffix}"
    done = view.export(path)
    np.testing.assert_array_equal(values(path, name, view.shape), view[...])
    assert (done.path, done.form, done.shape, done.dtype, done.absent) == (
        path,
        suffix,
        view.shape,
        str(view.dtype),
        {},
    )
    there = [each for each in path.rglob("*") if each.is_file()] if path.is_dir() else [path]
    assert done.bytes == sum(each.stat().st_size for each in there)
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", ARRAYS)
def test_a_part_is_what_numpy_would_take(kept: Store, tmp_path: Path, suffix: str) -> None:
    view, path = kept.view("head_contributions"), tmp_path / f"copy.{suffix}"
    done = view.export(path, select="image=299,4,layer=-1")
    expected = view[[299, 4], -1]
    np.testing.assert_array_equal(values(path, "head_contributions", expected.shape), expected)
    assert (done.columns, done.shape) == (("image", "head", "joint"), (2, 2, 12))


def test_a_zarr_copy_opens_in_xarray_with_its_coordinates(kept: Store, tmp_path: Path) -> None:
    rest = kept.view("residual_contributions")
    rest.export(tmp_path / "rest.zarr", select="image=5:8,term=1:3")
    with xarray.open_zarr(tmp_path / "rest.zarr") as found:
        assert found["residual_contributions"].dims == ("image", "term", "joint")
        assert found["image_id"].values.tolist() == [5, 6, 7]
        assert [Path(each).name for each in found["path"].values] == ["00005.png", "00006.png", "00007.png"]
        assert found["term"].values.tolist() == ["attn_bias[0]", "attn_bias[1]"]
        assert set(found.coords) == {"image_id", "path", "term"}  # no picture has a label
        attrs = found["residual_contributions"].attrs
    assert {name: attrs[name] for name in attrs if name != "recipe"} == {
        "view": "residual_contributions",
        "model": "m",
        "image_set": "photos",
        "parameters": {"convention": "own"},
        "selection": "image=5:8,term=1:3",
        "absent": {},
    }
    assert attrs["recipe"]["inputs"]["model"]["precision"] == "float32"


def test_a_position_at_which_an_axis_was_cut_stands_beside_the_array(kept: Store, tmp_path: Path) -> None:
    kept.view("residual_contributions").export(tmp_path / "one.zarr", select="image=7,term=embedding")
    with xarray.open_zarr(tmp_path / "one.zarr") as found:
        assert found["residual_contributions"].dims == ("joint",)
        assert (found["image_id"].item(), found["term"].item()) == (7, "embedding")


def test_numbers_kept_with_each_image_go_along(kept: Store, tmp_path: Path) -> None:
    view = kept.view("image_embeddings")
    view.export(tmp_path / "few.parquet", select="image=290,3")
    found = pq.read_table(tmp_path / "few.parquet").to_pydict()
    assert found["norm"] == view.coords["norm"][[290, 3]].tolist()
    assert (found["image_set"], found["image_id"]) == (["photos", "photos"], [290, 3])


def test_only_what_a_part_touches_is_computed(store: Store, tmp_path: Path) -> None:
    store.view("image_embeddings").export(tmp_path / "last.zarr", select="image=260:")
    assert sorted((each.covers["start"], each.covers["stop"]) for each in records(store).values()) == [
        (256, 300)
    ]


def test_rows_that_could_not_be_read_are_nan_and_listed(torn: Store, tmp_path: Path) -> None:
    view = torn.view("image_embeddings")
    done = view.export(tmp_path / "a.npy")
    assert done.absent == dict.fromkeys((3, 6), "not a picture in a known format")
    found = np.load(tmp_path / "a.npy")
    assert np.flatnonzero(np.isnan(found).any(axis=1)).tolist() == [3, 6]
    np.testing.assert_array_equal(found[[0, 9]], view[[0, 9]])
    view.export(tmp_path / "a.zarr", select="image=5:8")
    with xarray.open_zarr(tmp_path / "a.zarr") as zarr:
        assert zarr["image_embeddings"].attrs["absent"] == {"6": done.absent[6]}
        assert np.isnan(zarr["norm"].values).tolist() == [False, True, False]
    view.export(tmp_path / "a.parquet", select="image=6:8")
    rows = pq.read_table(tmp_path / "a.parquet").to_pylist()
    assert [row["vector"] is None for row in rows] == [True, False]


def test_rows_that_could_not_be_read_are_refused_if_asked_or_if_there_are_no_others(
    torn: Store, tmp_path: Path
) -> None:
    view = torn.view("image_embeddings")
    view.fill()
    with pytest.raises(
        AbsentRows, match=r"has no row for image 3 \(not a .*\) and 1 more; leave it out \(sel"
    ):
        view.export(tmp_path / "a.npy", missing="raise")
    with pytest.raises(AbsentRows, match="has no row for image 6"):
        view.export(tmp_path / "a.npy", select="image=6")
    assert not (tmp_path / "a.npy").exists()
    assert view.export(tmp_path / "a.npy", select="image=7:", missing="raise").shape == (3, 12)


def test_asked_to_raise_an_export_computes_nothing(store: Store, tmp_path: Path) -> None:
    for name, path in (("head_contributions", "a.npy"), ("head_roles", "a.csv")):
        with pytest.raises(MissingUnits, match=r"2 of 2 units of .* are missing; fill\(\) computes them"):
            store.view(name).export(tmp_path / path, missing="raise")
    assert records(store) == {}
    assert not list(tmp_path.glob("*a.*"))


@pytest.mark.usefixtures("small_blocks")
def test_bytes_that_turn_out_damaged_are_computed_again(filled: Store, tmp_path: Path) -> None:
    view = filled.view("mlp_contributions")
    expected = view[...]
    record = next(each for each in records(filled).values() if "/mlp_contributions/" in each.attempt)
    chunk = next(
        path for path in (filled.path / record.attempt).rglob("c/0/*") if path.is_file() or path.is_dir()
    )
    file = chunk if chunk.is_file() else next(path for path in chunk.rglob("*") if path.is_file())
    data = bytearray(file.read_bytes())
    data[40] ^= 1
    file.write_bytes(data)
    belvedere.open(filled.path).view("mlp_contributions").export(tmp_path / "a.npy")
    np.testing.assert_allclose(np.load(tmp_path / "a.npy"), expected, atol=1e-6)
    assert record.attempt not in {each.attempt for each in records(filled).values()}


def test_a_unit_that_cannot_be_made_leaves_no_copy(tmp_path: Path) -> None:
    Letters.broken.add(1)
    try:
        view = LazyArray(small_engine(tmp_path / "store"), Letters(text_set(list("abcdefgh"))))
        with pytest.raises(UnitFailed, match="block 1 cannot be counted"):
            view.export(tmp_path / "a.npy")
    finally:
        Letters.broken.clear()
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_texts_stand_beside_what_runs_over_texts(tmp_path: Path) -> None:
    view = LazyArray(small_engine(tmp_path / "store"), Letters(text_set(["abba", "cab", "xyz"])))
    view.export(tmp_path / "a.parquet", select="text=0:2,letter=0")
    assert pq.read_table(tmp_path / "a.parquet").to_pylist() == [
        {"text_set": "words", "text_id": 0, "text": "abba", "letter": 0, "value": 2.0},
        {"text_set": "words", "text_id": 1, "text": "cab", "letter": 0, "value": 1.0},
    ]


class Totals(Letters):
    """Letters with the sum of each row beside them, which a reader may remember."""

    def coords(self) -> Mapping[str, Coord]:
        def total(parts: Parts) -> Array:
            made: Array = parts.once("totals", lambda: parts.array(self, "letters").sum(axis=1))
            return made

        return {"total": total}


def test_what_is_read_for_a_part_is_not_remembered_for_the_whole(tmp_path: Path) -> None:
    view = LazyArray(small_engine(tmp_path / "store"), Totals(text_set(["abba", "cab", "x", "cc", "a"])))
    view.export(tmp_path / "part.parquet", select="text=3:5,letter=0")
    assert pq.read_table(tmp_path / "part.parquet")["total"].to_pylist() == [2, 1]
    view.export(tmp_path / "one.zarr", select="text=1")
    with xarray.open_zarr(tmp_path / "one.zarr") as found:
        assert found["total"].item() == 3
    assert view.coords["total"].tolist() == [4, 3, 0, 2, 1]


class Pairs(Letters):
    """Letters of every two texts, along an axis that is called text and is not that of the set."""

    axis: ClassVar[str] = "pair"

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.texts) // 2, self.width)

    def members(self) -> tuple[Member, ...]:
        shape = (len(self.texts), self.width)
        return (Member("letters", self.dims, shape, "float32", (2, self.width)),)

    def show(self, parts: Parts, selection: tuple[Axis, ...]) -> Array:
        found: Array = parts.array(self, "letters").reshape(-1, 2, self.width).sum(axis=1)[selection]
        return found


def test_texts_do_not_stand_beside_what_is_not_as_long_as_their_set(tmp_path: Path) -> None:
    view = LazyArray(small_engine(tmp_path / "store"), Pairs(text_set(["abba", "cab", "x", "cc"])))
    view.export(tmp_path / "a.zarr")
    with xarray.open_zarr(tmp_path / "a.zarr") as found:
        assert found["pairs"].values.tolist() == [[3, 3, 1], [0, 0, 2]]
        assert set(found.coords) == set()


@dataclass(frozen=True)
class Wider(LetterSums):
    """Sums with a parameter that the letters have, too."""

    block: Param[int] = 9


def test_of_parameters_of_one_name_a_copy_tells_that_of_the_view_itself() -> None:
    told = facts_of(Wider(Letters(text_set(["a"]), block=4)))["parameters"]
    assert told == {"block": 9, "value": "count"}
    assert told == question.parameters(Wider(Letters(text_set(["a"]), block=4)))


def test_a_table_is_copied_with_the_rows_that_a_fetch_gives(kept: Store, tmp_path: Path) -> None:
    view = kept.view("head_descriptions").where("layer = 1 AND rank < ?", 3)
    done = view.export(tmp_path / "a.parquet")
    found = pq.read_table(tmp_path / "a.parquet")
    assert found.equals(view.arrow())
    assert (done.shape, done.columns, done.dtype) == ((len(found),), view.columns, None)
    facts = json.loads((found.schema.metadata or {})[b"belvedere"])
    assert (facts["view"], facts["params"]) == ("head_descriptions", [3])
    view.export(tmp_path / "a.csv")
    assert pc.read_csv(tmp_path / "a.csv").cast(found.schema).equals(found)


def test_a_table_of_several_units_keeps_their_order(tmp_path: Path) -> None:
    engine: Engine = small_engine(tmp_path / "store")
    view = LazyTable(engine, Numbers(text_set(["a"])))
    view.export(tmp_path / "a.parquet")
    found, expected = pq.read_table(tmp_path / "a.parquet"), view.arrow()
    keys = ("layer", "head")
    assert [found[key].to_pylist() for key in keys] == [expected[key].to_pylist() for key in keys]
    assert sorted(map(repr, found.to_pylist())) == sorted(map(repr, expected.to_pylist()))


@pytest.mark.parametrize(
    ("name", "path", "said"),
    [
        (
            "head_moments",
            "a.csv",
            r"asks for the format 'csv'; this view can be written to \.zarr, \.npy, \.saf",
        ),
        ("head_moments", "a", "asks for no format; this view can"),
        ("head_roles", "a.npy", r"the format 'npy'; this view can be written to \.parquet, \.csv"),
        ("head_moments", "nowhere/a.npy", "there is no folder"),
    ],
)
def test_a_place_or_format_that_does_not_fit_is_refused(
    kept: Store, tmp_path: Path, name: str, path: str, said: str
) -> None:
    with pytest.raises(BadDestination, match=said):
        kept.view(name).export(tmp_path / path)


def test_what_is_there_is_overwritten_only_if_asked(kept: Store, tmp_path: Path) -> None:
    view = kept.view("head_moments")
    for path in (tmp_path / "a.npy", tmp_path / "a.zarr"):
        view.export(path, select="layer=0")
        with pytest.raises(BadDestination, match="is there already"):
            view.export(path)
        assert view.export(path, overwrite=True).shape == view.shape
        np.testing.assert_array_equal(values(path, "head_moments", view.shape), view[...])
    assert view.export(tmp_path / "a.bin", form="npy").form == "npy"
    with pytest.raises(BadSource, match="missing='mask' is not known"):
        view.export(tmp_path / "b.npy", missing="mask")


class Stops(Progress):
    """Is interrupted once some rows are written."""

    def advance(self, count: int) -> None:
        raise KeyboardInterrupt


@pytest.mark.parametrize("suffix", [*ARRAYS, "csv"])
def test_an_interrupted_export_leaves_nothing(kept: Store, tmp_path: Path, suffix: str) -> None:
    view = kept.view("head_descriptions" if suffix == "csv" else "image_embeddings")
    with pytest.raises(KeyboardInterrupt):
        view.export(tmp_path / f"a.{suffix}", progress=Stops())
    assert list(tmp_path.iterdir()) == []


KILLED = """
import os, signal, sys
import belvedere
from belvedere.compute.running.report import Progress

class Dies(Progress):
    def advance(self, count):
        os.kill(os.getpid(), signal.SIGKILL)

store = belvedere.open(sys.argv[1], "r")
store.view("image_embeddings").export(sys.argv[2], progress=Dies())
"""


def test_a_killed_export_leaves_nothing_of_that_name(kept: Store, tmp_path: Path) -> None:
    dest = tmp_path / "a.zarr"
    command = [sys.executable, "-c", KILLED, str(kept.path), str(dest)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(command, env=environment, capture_output=True, timeout=120)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not dest.exists()
    kept.view("image_embeddings").export(dest)
    assert dest.exists()
