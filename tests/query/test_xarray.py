"""xarray: named axes and coordinates, numbers that are read when looked at, and a store as an engine."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import belvedere
from belvedere.query.lazy.array import LazyArray
from belvedere.query.lazy.xarray_array import facts
from belvedere.query.store import Store
from belvedere.query.xarray_engine import BelvedereBackend
from belvedere.store.errors import AbsentRows, BadSource, MissingUnits, NameTaken, NotAStore, UnknownName
from tests.small_views import Letters, small_engine, text_set
from tests.worlds import TEXTS, World, add_pictures

ROOT = Path(__file__).parents[2]
ARRAYS = (
    *("image_embeddings", "head_contributions", "mlp_contributions", "residual_contributions"),
    *("head_moments", "text_embeddings", "tower_maps"),
)


@pytest.fixture
def torn(world: World, tmp_path: Path) -> Store:
    """Ten labelled pictures, of which the fourth is no picture."""
    photos = add_pictures(tmp_path / "torn" / "cats", range(6))
    add_pictures(tmp_path / "torn" / "dogs", range(6, 10))
    (photos / "00003.png").write_bytes(b"not a picture")
    store = belvedere.open(tmp_path / "store")
    store.add_model("m", world.source)
    store.add_images("torn", tmp_path / "torn", labels="folder")
    return store


def test_a_data_array_is_made_and_shown_without_reading_or_computing(store: Store) -> None:
    with belvedere.trace() as seen:
        array = store.view("head_contributions").to_xarray()
        part = array.sel(image_id=slice(3, 5), layer=1).transpose("head", ...)
        shown = f"{array!r}{array._repr_html_()}{part!r}"
        assert (array.name, array.dims, array.dtype) == (
            "head_contributions",
            ("image", "layer", "head", "joint"),
            np.dtype("float32"),
        )
        assert (part.dims, part.shape) == (("head", "image", "joint"), (2, 3, 12))
    assert "[14400 values with dtype=float32]" in shown
    assert {kind for kind, _ in seen.events} <= {"list", "read"}
    assert store.view("head_contributions").status().ready == 0


def test_looking_fills_the_units_that_are_looked_at_and_is_remembered(store: Store) -> None:
    view = store.view("head_contributions")
    part = view.to_xarray()[290:, -1]
    with belvedere.trace() as seen:
        first = part.values
    assert [each.split("[")[1] for each in seen.of("compute")] == ["layer 0:2]", "image 256:300]"]
    with belvedere.trace() as seen:
        np.testing.assert_array_equal(part.values, first)
    assert seen.events == []
    np.testing.assert_array_equal(first, view[290:, -1])


@pytest.mark.parametrize("name", ARRAYS)
def test_each_axis_is_indexed_on_its_own_and_gives_what_numpy_gives(kept: Store, name: str) -> None:
    view = kept.view(name)
    whole = view[:]
    lists = [[length - 1, 0, min(1, length - 1), 0] for length in view.shape]
    array = view.to_xarray()
    found = array.isel(dict(zip(array.dims, lists, strict=True)))
    np.testing.assert_allclose(found.values, whole[np.ix_(*lists)], atol=1e-6)
    np.testing.assert_allclose(array[::-2, ..., -1].values, whole[::-2, ..., -1], atol=1e-6)
    np.testing.assert_array_equal(array[:0].values, whole[:0])
    pairs = xr.DataArray([0, 1], dims="pair")
    paired = array.isel({array.dims[0]: pairs, array.dims[1]: pairs})
    np.testing.assert_allclose(paired.values, whole[[0, 1], [0, 1]], atol=1e-6)


def test_coordinates_name_images_layers_texts_and_terms(torn: Store, kept: Store) -> None:
    images = torn.view("mlp_contributions").to_xarray()
    assert set(images.coords) == {"image_id", "path", "label", "layer"}  # no image has a group
    assert images.sel(image_id=7).label.item() == "dogs"
    assert Path(images.sel(image_id=7).path.item()).name == "00007.png"
    assert images.layer.values.tolist() == [0, 1]
    texts = kept.view("text_embeddings").to_xarray()
    assert (set(texts.coords), texts.text.values.tolist()) == ({"text_id", "text"}, TEXTS)
    np.testing.assert_array_equal(texts.sel(text_id=[4, 2]), kept.view("text_embeddings")[[4, 2]])
    terms = kept.view("residual_contributions").to_xarray()
    np.testing.assert_array_equal(terms.sel(term="attn_bias[1]"), kept.view("residual_contributions")[:, 2])


def test_an_axis_that_occurs_twice_has_a_number_the_second_time(kept: Store) -> None:
    assert kept.view("head_moments").to_xarray().dims == ("layer", "head", "factor", "factor_2")
    assert set(kept.view("head_moments").to_xarray().coords) == {"layer", "head"}


def test_a_data_array_says_which_view_it_is_and_takes_another_name(kept: Store) -> None:
    array = kept.view("head_contributions", convention="clip_prs").to_xarray("c")
    assert array.name == "c"
    assert json.loads(array.attrs.pop("parameters")) == {"convention": "clip_prs", "dtype": "float32"}
    assert array.attrs == {"view": "head_contributions", "model": "m", "image_set": "photos"}
    asked = json.loads(facts(kept.view("head_roles", share=0.5)._view)["parameters"])
    assert kept.view("head_roles", **asked)._view == kept.view("head_roles", share=0.5)._view


def test_numbers_beside_an_array_are_read_only_where_they_are_looked_at(store: Store) -> None:
    array = store.view("image_embeddings").to_xarray()
    assert (array.norm.dims, array.norm.dtype) == (("image",), np.dtype("float32"))
    with belvedere.trace() as seen:
        found = array[270:260:-2].load().norm.values
    assert [each.split("[")[1] for each in seen.of("compute")] == ["image 256:300]"]
    np.testing.assert_array_equal(found, store.view("image_embeddings").coords["norm"][270:260:-2])


def test_images_that_could_not_be_read_raise_by_name_or_are_nan(torn: Store) -> None:
    view = torn.view("image_embeddings")
    masked = view.to_xarray(missing="mask")
    assert np.isnan(masked).all("joint").values.tolist() == [True] * 10  # nothing is there yet
    assert bool(np.isnan(masked.norm).all())
    with pytest.raises(AbsentRows, match="no row for image 3"):
        view.to_xarray().load()
    masked = view.to_xarray(missing="mask").load()
    assert np.flatnonzero(np.isnan(masked).any("joint")).tolist() == [3]
    assert np.flatnonzero(np.isnan(masked.norm)).tolist() == [3]


def test_what_is_missing_raises_where_that_was_asked(store: Store) -> None:
    array = store.view("image_embeddings").to_xarray(missing="raise")
    for lazy in (array[0], array.norm):
        with pytest.raises(MissingUnits, match=r"1 of 1 units of|2 of 2 units of image_embeddings"):
            lazy.load()
    with pytest.raises(BadSource, match="missing='zero' is not known"):
        store.view("image_embeddings").to_xarray(missing="zero")


def test_writing_to_a_data_array_changes_nothing_that_is_kept(filled: Store) -> None:
    view = filled.view("image_embeddings")
    array = view.to_xarray()
    before = array.copy(deep=True).values
    array[0] = 7
    assert (array[0] == 7).all()
    np.testing.assert_array_equal(view[:], before)


def test_a_data_array_goes_to_another_process_as_the_question_it_answers(filled: Store) -> None:
    array = filled.view("head_contributions", convention="clip_prs").to_xarray()[:, -1]
    again = pickle.loads(pickle.dumps(array))
    assert "[7200 values with dtype=float32]" in repr(again)
    np.testing.assert_array_equal(again, array)


def test_a_view_whose_name_stands_for_something_else_by_now_is_refused(filled: Store, tmp_path: Path) -> None:
    data = pickle.dumps(filled.view("image_embeddings"))
    assert isinstance(pickle.loads(data), LazyArray)
    filled.add_images("photos", add_pictures(tmp_path / "others", range(900, 910)), replace=True)
    with pytest.raises(NameTaken, match=r"image_embeddings\[m × photos\] is not the view that was handed on"):
        pickle.loads(data)


def opened(path: Path, **asked: Any) -> xr.Dataset:
    return xr.open_dataset(path, engine=BelvedereBackend, **asked)


def test_a_store_opens_as_a_data_set_in_which_looking_computes_nothing(store: Store) -> None:
    with opened(store.path, view="image_embeddings") as data:
        assert (list(data), set(data.coords)) == (["image_embeddings"], {"image_id", "path", "norm"})
        assert (data.attrs["view"], data.attrs["model"], data.sizes["image"]) == (
            "image_embeddings",
            "m",
            300,
        )
        with pytest.raises(MissingUnits, match=r'opened with mode="r"; open it with mode="a" to fill it'):
            data["image_embeddings"][:3].load()
    with opened(store.path, view="image_embeddings", mode="a") as data:
        found = data.sel(image_id=[299, 280]).load()
    assert store.view("image_embeddings").status().ready == 1
    np.testing.assert_array_equal(found["image_embeddings"], store.view("image_embeddings")[[299, 280]])
    with opened(store.path, view="image_embeddings", missing="mask") as data:
        assert int(data["image_embeddings"].isnull().all("joint").sum()) == 256


def test_variables_are_dropped_and_parameters_go_to_the_view(kept: Store) -> None:
    view = kept.view("head_contributions", convention="clip_prs")
    data = opened(
        kept.path, view="head_contributions", convention="clip_prs", drop_variables=["path", "layer"]
    )
    assert set(data.variables) == {"head_contributions", "image_id", "head"}
    np.testing.assert_array_equal(data["head_contributions"][5], view[5])
    alone = opened(kept.path, view="head_contributions", drop_variables="head_contributions")
    assert (list(alone), "image_id" in alone.coords) == ([], True)


def test_the_columns_of_a_table_lie_along_rows(kept: Store) -> None:
    data = opened(kept.path, view="head_descriptions", m=2, drop_variables="margin")
    rows = kept.view("head_descriptions", m=2).df()
    assert list(data) == [*rows.columns[3:-1]]
    assert {each.dims for each in data.values()} == {("row",)}
    assert data.to_dataframe().equals(rows[list(data)].rename_axis("row"))
    with pytest.raises(BadSource, match="missing='mask' is not known"):
        opened(kept.path, view="head_descriptions", missing="mask")


def test_what_cannot_be_opened_says_what_there_is(kept: Store, tmp_path: Path) -> None:
    with pytest.raises(BadSource, match=r"a view at a time, view=…; there are ablations, activation_maps, "):
        opened(kept.path)
    with pytest.raises(UnknownName, match="did you mean 'head_moments'"):
        opened(kept.path, view="head_moment")
    with pytest.raises(NotAStore):
        opened(tmp_path, view="head_moments")
    backend = BelvedereBackend()
    assert [backend.guess_can_open(each) for each in (kept.path, str(kept.path), tmp_path, b"x", 3)] == [
        *(True, True, False, False, False)
    ]


def test_xarray_finds_the_engine_by_its_entry_point(kept: Store, tmp_path: Path) -> None:
    info = tmp_path / "engine-0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: engine\nVersion: 0\n")
    entry = f"{BelvedereBackend.__module__}:{BelvedereBackend.__name__}"
    (info / "entry_points.txt").write_text(f"[xarray.backends]\nbelvedere = {entry}\n")
    code = (
        "import sys, xarray; "
        "data = xarray.open_dataset(sys.argv[1], engine='belvedere', view='tower_maps'); "
        "print(dict(data.sizes)); "
        "print(list(xarray.open_dataset(sys.argv[1], view='tower_maps')))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, kept.path],
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"},
        capture_output=True,
        text=True,
    )
    assert done.stdout == "{'layer': 2, 'head': 2, 'joint': 12, 'head_dim': 8}\n['tower_maps']\n", done.stderr


def test_views_of_sets_that_are_not_the_axis_have_no_ids(tmp_path: Path) -> None:
    letters = Letters(text_set(["ab", "c"]))
    array = LazyArray(small_engine(tmp_path / "store"), letters).to_xarray()
    assert (array.values.tolist(), array.text.values.tolist()) == ([[1, 1, 0], [0, 0, 1]], ["ab", "c"])
