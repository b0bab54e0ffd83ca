"""Bundles: read with duckdb and xarray alone, whole or not there, and not made of what is not complete."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import numpy as np
import pytest
import xarray
from PIL import Image

import belvedere
from belvedere.store.errors import BadDestination, BadSource, MissingUnits
from belvedere.store.sealed import unseal
from tests.worlds import World

ALONE = "import sys, warnings; warnings.simplefilter('ignore'); sys.modules['belvedere'] = None\n"
"""What makes a process one that has no Belvedere."""
CODE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def without_belvedere(code: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", ALONE + code], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_the_page_says_how_to_open_it_and_that_works_without_belvedere(
    kept: belvedere.Store, tmp_path: Path
) -> None:
    kept.publish(tmp_path / "made", arrays=[kept.view("head_contributions")], thumbnails=5)
    moved = Path(shutil.move(tmp_path / "made", tmp_path / "moved"))
    blocks = CODE.findall((moved / "README.md").read_text())
    assert len(blocks) == 2
    shown = without_belvedere("".join(blocks), moved)
    assert "head_descriptions" in shown
    assert "Dimensions" in shown or "<xarray.DataArray 'head_contributions' (image: 300, layer: 2" in shown


def test_numbers_are_those_of_the_store(kept: belvedere.Store, tmp_path: Path) -> None:
    views = [kept.view(name) for name in ("head_contributions", "image_embeddings")]
    found = kept.publish(tmp_path / "made", arrays=views, thumbnails=0)
    assert (found.arrays, found.thumbnails) == (("head_contributions", "image_embeddings"), 0)
    for view, name in zip(views, found.arrays, strict=True):
        with xarray.open_zarr(tmp_path / "made" / "arrays" / f"{name}.zarr") as data:
            assert data[name].dims == view.dims
            np.testing.assert_array_equal(data[name].values, view[...])
    rows = kept.sql("FROM head_descriptions").arrow()
    with duckdb.connect(tmp_path / "made" / "catalog.duckdb", read_only=True) as con:
        for source in ("head_descriptions", f"'{tmp_path}/made/tables/head_descriptions.parquet'"):
            assert con.sql(f"FROM {source}").to_arrow_table().cast(rows.schema).equals(rows)
        listed = con.execute("SELECT name, image_set, dims, shape, path FROM arrays").fetchall()
        told = con.execute("SELECT view FROM completeness WHERE kind = 'array' AND published").fetchall()
    assert listed == [
        (
            "head_contributions",
            "photos",
            "image, layer, head, joint",
            "300, 2, 2, 12",
            f"arrays/{found.arrays[0]}.zarr",
        ),
        ("image_embeddings", "photos", "image, joint", "300, 12", f"arrays/{found.arrays[1]}.zarr"),
    ]
    assert sorted(told) == [("head_contributions",), ("image_embeddings",)]
    assert sorted(found.tables) == sorted(path.stem for path in (tmp_path / "made" / "tables").iterdir())


def test_thumbnails_are_found_by_image(store: belvedere.Store, tmp_path: Path) -> None:
    store.add_images("own", [Image.new("RGB", (30, 20), "red")] * 3)
    found = store.publish(tmp_path / "made", thumbnails=2)
    assert (found.thumbnails, found.unreadable) == (4, 0)
    with duckdb.connect(tmp_path / "made" / "catalog.duckdb", read_only=True) as con:
        rows = con.execute(
            "SELECT path, thumbnail FROM images JOIN thumbnails USING (image_set, image_id)"
        ).fetchall()
        paths = con.execute("SELECT * FROM thumbnails ORDER BY ALL").fetchall()
    assert len(rows) == 4
    assert paths == [
        (name, place, f"thumbnails/{name}/{place}.jpg") for name in ("own", "photos") for place in (0, 1)
    ]
    with Image.open(tmp_path / "made" / "thumbnails" / "own" / "1.jpg") as picture:
        assert picture.size == (128, 128)


def test_images_that_tables_show_come_first_and_unreadable_ones_are_counted(
    world: World, tmp_path: Path
) -> None:
    photos = Path(shutil.copytree(world.photos, tmp_path / "photos"))
    store = World(world.clip, photos).store(tmp_path / "store")
    store.view("top_images", module="visual.transformer.resblocks.1.mlp.gelu", k=100).fill()
    shown = {row[0] for row in store.sql("SELECT DISTINCT image_id FROM top_images").fetchall()}
    first = min(shown)
    (photos / f"{first:05}.png").unlink()
    found = store.publish(tmp_path / "made", thumbnails=10)
    assert (found.thumbnails, found.unreadable) == (9, 1)
    places = sorted(int(path.stem) for path in (tmp_path / "made" / "thumbnails" / "photos").iterdir())
    assert places == sorted(shown)[1:10]


def test_arrays_of_one_view_have_names_of_their_own(filled: belvedere.Store, tmp_path: Path) -> None:
    filled.add_images("few", sql="SELECT * FROM images WHERE image_id < 5")
    filled.view("image_embeddings", images="few").fill()
    views = [filled.view("image_embeddings", images=name) for name in ("photos", "few", "few")]
    found = filled.publish(tmp_path / "made", arrays=views, thumbnails=0)
    assert found.arrays == (
        "image_embeddings-m-photos",
        "image_embeddings-m-few-1",
        "image_embeddings-m-few-2",
    )


def test_what_is_not_complete_is_refused_and_nothing_is_left(
    store: belvedere.Store, filled: belvedere.Store, tmp_path: Path
) -> None:
    before = sorted(tmp_path.iterdir())
    with pytest.raises(MissingUnits, match=r"head_contributions\[m × photos\] are missing; fill it before"):
        store.publish(tmp_path / "made", arrays=[store.view("head_contributions")])
    with pytest.raises(BadSource, match="is no array; tables are in a bundle without being named"):
        store.publish(tmp_path / "made", arrays=[store.view("head_descriptions")])
    with pytest.raises(BadSource, match="is an array of another store"):
        store.publish(tmp_path / "made", arrays=[filled.view("head_contributions")])
    with pytest.raises(BadSource, match="thumbnails=-1"):
        store.publish(tmp_path / "made", thumbnails=-1)
    with pytest.raises(BadSource, match="arrays go into a folder of their own"):
        store.publish(arrays=[store.view("head_contributions")])
    with pytest.raises(BadDestination, match="lies in the store"):
        store.publish(store.path / "made")
    assert sorted(tmp_path.iterdir()) == before


def test_a_bundle_is_replaced_only_when_asked_and_other_folders_never(
    kept: belvedere.Store, tmp_path: Path
) -> None:
    kept.publish(tmp_path / "made", thumbnails=1)
    with pytest.raises(BadDestination, match="is there already"):
        kept.publish(tmp_path / "made")
    kept.publish(tmp_path / "made", thumbnails=0, overwrite=True)
    assert not (tmp_path / "made" / "thumbnails").exists()
    assert unseal((tmp_path / "made" / "bundle.json").read_bytes())["store"] == kept.path.name
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    with pytest.raises(BadDestination, match="a folder that holds something else"):
        kept.publish(tmp_path / "mine", overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made", "mine"]


def test_combinations_that_lack_units_are_named_on_the_page(store: belvedere.Store, tmp_path: Path) -> None:
    store.view("head_descriptions").where("layer = 0").fill()
    found = store.publish(tmp_path / "made", thumbnails=0)
    assert found.left_out == ("head_descriptions[m × photos × words]",)
    page = (tmp_path / "made" / "README.md").read_text()
    assert "Not in the tables, for they were not complete: head_descriptions[m × photos × words]." in page
