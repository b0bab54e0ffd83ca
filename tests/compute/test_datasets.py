"""Hugging Face data set folders are sets of images, read row by row from what lies on disk."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import belvedere
from belvedere.compute.images.dataset_folders import open_rows
from belvedere.compute.images.pictures import Pictures
from belvedere.store.errors import BadSource, MissingExtra, UnreadablePicture
from belvedere.store.objects import Objects
from tests.worlds import World, engine, picture

STRUCT = pa.struct([pa.field("bytes", pa.binary()), pa.field("path", pa.string())])


def shard(path: Path, numbers: range, **columns: list[Any]) -> Path:
    """Write a Parquet file with the pictures of these numbers, five to a group of rows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = [{"bytes": picture(number), "path": None} for number in numbers]
    table = pa.table({"image": pa.array(values, STRUCT), **columns})
    pq.write_table(table, path, row_group_size=5)
    return path


def named(path: Path, names: list[str]) -> None:
    """Write the names of classes beside a shard's schema, as the hub does."""
    facts = {"info": {"features": {"label": {"names": names, "_type": "ClassLabel"}}}}
    table = pq.read_table(path).replace_schema_metadata({"huggingface": json.dumps(facts)})
    pq.write_table(table, path, row_group_size=5)


def listed(store: belvedere.Store, name: str) -> list[tuple[Any, ...]]:
    query = "SELECT path, digest, width, label, grp FROM images WHERE image_set = $name ORDER BY image_id"
    return store.sql(query, {"name": name}).fetchall()


@pytest.fixture
def datasets(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The library, without a network and without bars."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import datasets

    datasets.disable_progress_bars()
    yield datasets
    datasets.enable_progress_bars()


@pytest.fixture
def saved(datasets: Any, tmp_path: Path) -> Path:
    """A `DatasetDict` of four rows to train on, one without a class, and two to test on."""
    kinds = datasets.Features(
        {
            "image": datasets.Image(),
            "label": datasets.ClassLabel(names=["cat", "dog"]),
            "group": datasets.Value("string"),
        }
    )
    values = [{"bytes": picture(number), "path": None} for number in range(4)]
    rows = {"image": values, "label": [0, 1, 1, -1], "group": ["a", "b", "a", None]}
    train = datasets.Dataset.from_dict(rows, features=kinds)
    whole = datasets.DatasetDict({"train": train, "test": train.select([3, 0])})
    whole.save_to_disk(tmp_path / "saved")
    return tmp_path / "saved"


def test_what_save_to_disk_wrote_is_a_set_of_images(world: World, saved: Path, tmp_path: Path) -> None:
    from belvedere.store import digest

    store = world.store(tmp_path / "store")
    assert store.add_images("x", f"{saved}#train").count == 4
    assert listed(store, "x") == [
        (f"dataset:{saved}#train/{row}", digest.of_bytes(picture(row)), 16, label, grp)
        for row, label, grp in [(0, "cat", "a"), (1, "dog", "b"), (2, "dog", "a"), (3, None, None)]
    ]
    store.add_images("one", saved / "test")
    assert [row[3] for row in listed(store, "one")] == [None, "cat"]
    store.add_images("first", [world.photos / f"{number:05}.png" for number in range(4)])
    rows = store.view("image_embeddings", images="x")[:]
    assert np.array_equal(rows, store.view("image_embeddings", images="first")[:])


def test_of_several_splits_one_has_to_be_named(store: belvedere.Store, saved: Path) -> None:
    with pytest.raises(BadSource, match=r"has the splits train, test; name one as .*saved#train"):
        store.add_images("x", saved)
    with pytest.raises(BadSource, match="has no split 'trian'; it has train, test"):
        store.add_images("x", f"{saved}#trian")
    with pytest.raises(BadSource, match="has no split 'train'; it has no splits"):
        store.add_images("x", f"{saved}/train#train")


def test_adding_a_data_set_again_reads_nothing_that_did_not_change(
    store: belvedere.Store, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.add_images("x", f"{saved}#train")
    monkeypatch.setattr(Pictures, "read", None)
    added = store.add_images("x", f"{saved}#train")
    assert (added.count, added.new, added.changed) == (4, 0, 0)


def test_a_data_set_that_is_gone_is_told_by_name(store: belvedere.Store, saved: Path) -> None:
    store.add_images("x", f"{saved}#train")
    shutil.rmtree(saved)
    report = store.view("image_embeddings", images="x").fill()
    assert report.failed == 1
    assert "train/0 cannot be read any more (" in store.errors()[0].message


def test_without_the_library_the_extra_is_named_and_nothing_fails_for_it(
    store: belvedere.Store, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.add_images("x", f"{saved}#train")
    monkeypatch.setitem(sys.modules, "datasets", None)
    told = r'datasets is not installed; pip install "belvedere\[datasets\]" adds it'
    with pytest.raises(MissingExtra, match=told):
        store.add_images("y", f"{saved}#test")
    with pytest.raises(MissingExtra, match=told):
        store.view("image_embeddings", images="x").fill()
    assert store.errors() == []


def test_shards_of_parquet_are_a_set_of_images(store: belvedere.Store, tmp_path: Path) -> None:
    from belvedere.store import digest

    root = tmp_path / "hub"
    for part, start in enumerate((0, 7)):
        file = root / "data" / f"train-0000{part}-of-00002.parquet"
        shard(file, range(start, start + 7), label=[number % 2 for number in range(7)])
        named(file, ["even", "odd"])
    shard(root / "data" / "test-00000-of-00001.parquet", range(3), label=["x", "", None])
    assert store.add_images("x", f"{root}#train").count == 14
    assert listed(store, "x") == [
        (f"dataset:{root}#train/{row}", digest.of_bytes(picture(row)), 16, ("even", "odd")[row % 7 % 2], None)
        for row in range(14)
    ]
    store.add_images("t", f"{root}#test")
    assert [row[3] for row in listed(store, "t")] == ["x", None, None]
    assert store.view("image_embeddings", images="x").fill(workers=4, batch_size=5).complete


def test_rows_of_shards_are_read_in_any_order(tmp_path: Path) -> None:
    file = shard(tmp_path / "all.parquet", range(120))
    rows = open_rows(file, "")
    dice = np.random.default_rng(0)
    for row in [*range(120), *reversed(range(120)), *dice.integers(0, 120, 200)]:
        assert rows.picture(int(row)) == picture(int(row))


def test_splits_are_told_from_names_and_folders(tmp_path: Path) -> None:
    from belvedere.compute.images.dataset_folders import splits

    for name in ("plain/train/0000.parquet", "plain/test/0000.parquet", ".cache/x.parquet", "val.parquet"):
        shard(tmp_path / name, range(1))
    assert splits(tmp_path) == ["plain/test", "plain/train", "val"]
    assert splits(tmp_path / "plain") == ["test", "train"]
    assert len(open_rows(tmp_path, "plain/train")) == 1


def test_a_row_may_name_a_file_or_have_no_picture(store: belvedere.Store, tmp_path: Path) -> None:
    (tmp_path / "one.png").write_bytes(picture(1))
    values = [{"bytes": None, "path": "one.png"}, None, {"bytes": b"none", "path": None}]
    pq.write_table(pa.table({"photo": pa.array(values, STRUCT)}), tmp_path / "x.parquet")
    added = store.add_images("x", tmp_path / "x.parquet")
    assert (added.count, added.unreadable) == (3, 2)
    pictures = Pictures(engine(store).folder.objects)
    (path, sha256, *_), (empty, nothing, *_), _ = listed(store, "x")
    assert pictures.fetch(path, sha256).size == (16, 16)
    with pytest.raises(UnreadablePicture, match="not a picture"):
        pictures.fetch(empty, nothing)


def test_what_is_no_data_set_of_pictures_is_refused(store: belvedere.Store, tmp_path: Path) -> None:
    two = {name: pa.array([{"bytes": b"", "path": None}], STRUCT) for name in ("left", "right")}
    (tmp_path / "two").mkdir()
    pq.write_table(pa.table(two), tmp_path / "two" / "train.parquet")
    with pytest.raises(
        BadSource, match=r"has several columns of pictures \(left, right\); one of them, called"
    ):
        store.add_images("x", tmp_path / "two")
    shard(tmp_path / "mixed" / "a.parquet", range(1))
    shard(tmp_path / "mixed" / "b.parquet", range(1), label=["x"])
    with pytest.raises(BadSource, match=r"b\.parquet has other columns than .*a\.parquet"):
        store.add_images("x", tmp_path / "mixed")
    shard(tmp_path / "both" / "a.parquet", range(1))
    (tmp_path / "both" / "logo.png").write_bytes(picture(1))
    with pytest.raises(BadSource, match="holds both pictures and a data set"):
        store.add_images("x", tmp_path / "both")
    with pytest.raises(BadSource, match="is a data set, which has its labels in a column"):
        store.add_images("x", tmp_path / "two", labels="folder")
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "train.parquet").write_bytes(b"PAR1 and no more")
    for place in ("torn", "torn/train.parquet", "torn#train"):
        with pytest.raises(BadSource, match=r"train\.parquet cannot be read as Parquet"):
            store.add_images("x", f"{tmp_path}/{place}")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadSource, match="holds no data set: neither what save_to_disk wrote nor shards"):
        store.add_images("x", f"{tmp_path}/empty#train")


def test_a_row_that_is_not_there_any_more_is_gone(store: belvedere.Store, tmp_path: Path) -> None:
    shard(tmp_path / "x.parquet", range(3))
    store.add_images("x", tmp_path / "x.parquet")
    shard(tmp_path / "x.parquet", range(2))
    added = store.add_images("x", tmp_path / "x.parquet")
    assert (added.count, added.gone) == (3, 1)
    pictures = Pictures(Objects(tmp_path))
    assert not pictures.exists(f"dataset:{tmp_path}/x.parquet#/2")
    with pytest.raises(FileNotFoundError, match="the data set has 2 rows by now"):
        pictures.read(f"dataset:{tmp_path}/x.parquet#/2")


def test_every_picture_of_a_picture_folder_beside_a_table_still_counts(
    store: belvedere.Store, tmp_path: Path
) -> None:
    (tmp_path / "a.png").write_bytes(picture(1))
    pq.write_table(pa.table({"path": ["a.png"]}), tmp_path / "table.parquet")
    (tmp_path / "b.parquet").write_bytes(b"torn")
    assert store.add_images("x", tmp_path).count == 1
