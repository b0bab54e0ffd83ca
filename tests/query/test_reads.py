"""Reads: what is kept is read, what is missing is filled, refused or masked, and nothing else happens."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import belvedere
from belvedere.query.store import Store
from belvedere.store.errors import AbsentRows, BadSource, MissingUnits
from belvedere.store.reader import REMEMBERED
from tests.worlds import BLOCK, World, add_pictures, engine, records


def computed(seen: Any) -> list[str]:
    """Name the view and the span of each unit that was computed."""
    found = (detail.split("/") for detail in seen.of("compute"))
    return sorted(f"{view}[{rest.split('[')[1]}" for view, rest in found)


def test_nothing_is_computed_before_somebody_looks(store: Store) -> None:
    with belvedere.trace() as seen:
        view = store.view("head_contributions")
        facts = (view.dims, view.shape, view.dtype, view.nbytes, len(view), repr(view))
        plan, status = view.plan(), view.status()
    assert facts == (
        ("image", "layer", "head", "joint"),
        (300, 2, 2, 12),
        np.dtype("float32"),
        300 * 2 * 2 * 12 * 4,
        300,
        "<View head_contributions[m × photos] 0 of 2 units ready>",
    )
    assert (plan.units, plan.passes, plan.images, plan.seconds) == (3, 2, 300, None)
    assert (status.ready, status.missing, status.units) == (0, 2, 2)
    assert {kind for kind, _ in seen.events} == {"read", "list"}


def test_a_part_computes_only_the_units_it_touches(store: Store) -> None:
    view = store.view("head_contributions")
    with belvedere.trace() as seen:
        view[290:, -1]
    assert computed(seen) == ["head_contributions[image 256:300]", "tower_maps[layer 0:2]"]
    assert seen.of("load") == ["m"]
    with belvedere.trace() as seen:
        view[[3, 299]]
    assert computed(seen) == ["head_contributions[image 0:256]"]


def test_a_second_read_computes_nothing_and_loads_no_model(filled: Store) -> None:
    view = belvedere.open(filled.path).view("head_contributions")
    with belvedere.trace() as seen:
        first = view[:64, -1, 1]
    assert [seen.of(kind) for kind in ("compute", "load", "write", "delete")] == [[], [], [], []]
    with belvedere.trace() as seen:
        np.testing.assert_array_equal(view[:64, -1, 1], first)
    view_folder = f"units/head_contributions/{view._view.recipe_key}/"
    maps_folder = f"units/tower_maps/{view._view.maps.recipe_key}/"
    attempt = engine(filled).folder.records.get(view._view.units[0]).attempt
    assert sorted(set(seen.events)) == [
        ("list", view_folder),
        ("list", maps_folder),
        ("read", f"{attempt}/factor/c/0/0/0/0"),
        ("read", f"{attempt}/scalars/c/0/0"),
    ]


def test_a_small_part_of_a_unit_is_read_in_a_few_small_pieces(filled: Store) -> None:
    view = filled.view("head_contributions")
    view[0]
    with belvedere.trace() as seen:
        view[5, 1]
    assert len(seen.of("read")) <= 4  # an index and a chunk of the factors, and of the scalars


def test_asked_to_raise_a_read_says_what_is_missing_and_computes_nothing(store: Store) -> None:
    view = store.view("head_contributions")
    view[:10]
    with belvedere.trace() as seen:
        with pytest.raises(
            MissingUnits, match=r"1 of 2 units of head_contributions\[m × photos\] are missing"
        ):
            view.read(missing="raise")
        assert view.read(slice(10), missing="raise").shape == (10, 2, 2, 12)
    assert seen.of("compute") == []


def test_asked_to_mask_a_read_masks_what_is_missing_and_computes_nothing(store: Store) -> None:
    view = store.view("head_contributions")
    last = view[BLOCK:]
    with belvedere.trace() as seen:
        found = view.read(slice(200, None), missing="mask")
        backwards = view.read((slice(None, 200, -1), 0, 1), missing="mask")
        nothing = store.view("head_moments").read(missing="mask")
    assert seen.of("compute") == []
    assert found.mask[:56].all()
    assert not found.mask[56:].any()
    np.testing.assert_array_equal(found.data[56:], last)
    np.testing.assert_array_equal(backwards[:44].data, last[::-1, 0, 1])
    assert backwards.mask[44:].all()
    assert nothing.mask.all()


@pytest.mark.parametrize("word", ["typo", "", "Raise"])
def test_a_word_for_missing_units_that_is_not_known_is_refused(kept: Store, word: Any) -> None:
    with pytest.raises(BadSource, match=f'missing={word!r} is not known; there are "fill", "raise", "mask"'):
        kept.view("head_contributions").read(0, missing=word)
    with pytest.raises(BadSource, match=r'there are "fill", "raise"$'):
        kept.view("head_descriptions").df(missing=word)


@pytest.mark.parametrize("mode", ["w", "r+", ""])
def test_a_mode_that_is_not_known_is_refused_and_makes_no_store(tmp_path: Path, mode: Any) -> None:
    with pytest.raises(BadSource, match=rf'mode {re.escape(repr(mode))} is not known: "a" opens a store'):
        belvedere.open(tmp_path / "store", mode)
    assert not (tmp_path / "store").exists()


def test_terms_stand_beside_the_residual_contributions_by_name(store: Store) -> None:
    rest = store.view("residual_contributions")
    with belvedere.trace() as seen:
        assert dict(rest.coords) == {"term": ("embedding", "attn_bias[0]", "attn_bias[1]", "ln_post_bias")}
        assert store.view("residual_contributions", convention="clip_prs").coords["term"] == ("embedding",)
    assert {kind for kind, _ in seen.events} <= {"list", "read"}
    assert len(rest.coords["term"]) == rest.shape[rest.dims.index("term")]


def test_norms_stand_beside_the_embeddings_and_are_filled_like_any_read(torn: Store) -> None:
    view = torn.view("image_embeddings")
    coords = view.coords
    assert (list(coords), repr(coords), view.status().ready) == (["norm"], "<Coords norm>", 0)
    norms = coords["norm"]
    assert (norms.shape, norms.dtype, view.status().ready) == ((10,), np.float32, 1)
    assert np.flatnonzero(np.isnan(norms)).tolist() == [3, 6]
    assert (norms[~np.isnan(norms)] > 0).all()
    with pytest.raises(KeyError):
        coords["term"]
    assert dict(torn.view("head_contributions").coords) == {}


def test_a_reader_remembers_a_few_things_until_the_store_is_closed(filled: Store) -> None:
    made: list[int] = []

    def make(number: int) -> int:
        made.append(number)
        return number

    def once(number: int) -> int:
        return engine(filled).reader.once(str(number), lambda: make(number))

    assert [once(number) for number in (*range(REMEMBERED), 0, 1)] == [*range(REMEMBERED), 0, 1]
    once(REMEMBERED)  # the one that was asked for the longest ago, 2, makes room
    assert made == list(range(REMEMBERED + 1))
    assert [once(0), once(2)] == [0, 2]
    assert made == [*range(REMEMBERED + 1), 2]
    filled.close()
    once(0)
    assert made[-1] == 0


def test_an_integer_is_as_good_as_a_float_and_names_the_same_view(store: Store) -> None:
    one, whole = (store.view("head_roles", share=share)._view for share in (1, 1.0))
    assert (one.recipe_key, type(one.params()["share"])) == (whole.recipe_key, float)
    for given, message in (
        ({"alpha": 1}, "alpha is between 0 and 1, not 1.0"),
        ({"alpha": 0}, "alpha is between 0 and 1, not 0.0"),
        ({"share": 0}, "share is above 0 and at most 1, not 0.0"),
        ({"share": 1.5}, "share is above 0 and at most 1, not 1.5"),
        ({"share": float("nan")}, "share is above 0 and at most 1, not nan"),
        ({"share": True}, "share takes float, not True"),
    ):
        with pytest.raises(BadSource, match=message):
            store.view("head_roles", **given)


def test_a_fill_shows_nothing_where_stderr_is_no_terminal(store: Store, capsys: Any) -> None:
    assert store.view("image_embeddings").fill().filled == 2
    assert capsys.readouterr() == ("", "")


def test_both_conventions_are_read_from_one_stored_form(store: Store) -> None:
    own = store.view("head_contributions", convention="own")[:]
    with belvedere.trace() as seen:
        published = store.view("head_contributions", convention="clip_prs")[:]
    assert (seen.of("compute"), seen.of("load")) == ([], [])
    assert not np.allclose(own, published)


@pytest.mark.parametrize("convention", ["own", "clip_prs"])
def test_all_terms_sum_to_the_embedding(kept: Store, convention: str) -> None:
    heads = kept.view("head_contributions", convention=convention)[:].sum(axis=(1, 2))
    mlps = kept.view("mlp_contributions", convention=convention)[:].sum(axis=1)
    rest = kept.view("residual_contributions", convention=convention)[:].sum(axis=1)
    np.testing.assert_allclose(heads + mlps + rest, kept.view("image_embeddings")[:], atol=1e-5)


def test_half_precision_factors_are_another_recipe(filled: Store) -> None:
    wide, half = filled.view("head_contributions"), filled.view("head_contributions", dtype="float16")
    assert (wide.status().missing, half.status().missing, half.status().stale) == (0, 2, 0)
    found = half[:]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wide[:], atol=2e-3)
    assert not np.array_equal(found, wide[:])
    assert half.status().bytes < 0.6 * wide.status().bytes
    assert filled.view("head_moments", dtype="float16").status().missing == 1


def test_moments_are_the_same_however_many_units_they_come_from(kept: Store) -> None:
    moments = kept.view("head_moments")[:]
    assert moments.dtype == np.float64
    np.testing.assert_array_equal(moments[..., 0, 0], np.full((2, 2), 300.0))
    np.testing.assert_array_equal(moments, moments.swapaxes(-1, -2))


@pytest.fixture
def torn(world: World, tmp_path: Path) -> Store:
    """A store of 10 pictures; the fourth is no picture, the seventh is cut short."""
    photos = add_pictures(tmp_path / "torn", range(10))
    (photos / "00003.png").write_bytes(b"not a picture")
    whole = (photos / "00006.png").read_bytes()
    (photos / "00006.png").write_bytes(whole[: len(whole) // 2])
    store = belvedere.open(tmp_path / "store")
    store.add_model("m", world.source)
    assert store.add_images("torn", photos).unreadable == 1  # the other has a header
    store.add_texts("words", ["a dog", "a star", "a boat", " ".join(["word"] * 40)])
    return store


def test_images_that_cannot_be_read_raise_by_name_and_are_listed(torn: Store) -> None:
    view = torn.view("head_contributions")
    report = view.fill()
    assert (report.filled, report.failed, report.absent) == (2, 0, 2)
    with pytest.raises(
        AbsentRows, match=r"no row for image 3 \(not a picture in a known format\) and 1 more; leave"
    ):
        view[:]
    with pytest.raises(AbsentRows, match=r"no row for image 6 .*missing=\"mask\"") as error:
        view[[0, 6]]
    assert list(error.value.rows) == [6]
    assert view[[0, 1, 2, 4, 5, 7, 8, 9]].shape == (8, 2, 2, 12)
    failures = [(each.view, each.row, Path(str(each.path)).name, each.error) for each in torn.errors()]
    assert failures == [
        ("head_contributions", 3, "00003.png", "UnreadablePicture"),
        ("head_contributions", 6, "00006.png", "UnreadablePicture"),
    ]
    assert view.status().absent == 2
    assert torn.sql("SELECT row FROM errors ORDER BY row").fetchall() == [(3,), (6,)]


def test_a_mask_masks_the_images_that_cannot_be_read(torn: Store) -> None:
    view = torn.view("head_contributions")
    view.fill()
    found = view.read(missing="mask")
    assert np.flatnonzero(found.mask[:, 0, 0, 0]).tolist() == [3, 6]
    assert np.isfinite(found.compressed()).all()
    assert view.read(6, missing="mask").mask.all()


def test_moments_and_descriptions_skip_what_cannot_be_read_and_say_of_how_many_they_are(torn: Store) -> None:
    report = torn.view("head_descriptions").fill()
    assert (report.failed, report.absent) == (0, 3)
    np.testing.assert_array_equal(torn.view("head_moments")[:, :, 0, 0], np.full((2, 2), 8.0))
    facts = {path.split("/")[1]: record.facts for path, record in records(torn).items()}
    assert facts["head_moments"] == {"images": 8}
    assert facts["head_descriptions"] == {"images": 8}
    rows = torn.view("head_descriptions").df()
    assert set(rows["text_id"]) <= {0, 1, 2}
    assert np.isfinite(rows["variance"]).all()


def test_texts_too_long_for_the_model_raise_by_name(torn: Store) -> None:
    view = torn.view("text_embeddings")
    with pytest.raises(AbsentRows, match=r"no row for text 3 .needs more than the 12 tokens"):
        view[:]
    np.testing.assert_allclose(np.linalg.norm(view[:3], axis=1), 1, rtol=1e-6)


def test_a_set_of_nothing_but_broken_images_is_done_and_empty(world: World, tmp_path: Path) -> None:
    photos = tmp_path / "broken"
    photos.mkdir()
    for number in range(3):
        (photos / f"{number}.png").write_bytes(b"%d" % number)
    store = belvedere.open(tmp_path / "store")
    store.add_model("m", world.source)
    store.add_images("broken", photos)
    assert store.view("head_moments").fill().complete
    np.testing.assert_array_equal(store.view("head_moments")[:], np.zeros((2, 2, 12, 12)))
    assert store.view("image_embeddings").read(missing="mask").mask.all()


def test_pictures_of_every_mode_are_read(world: World, tmp_path: Path) -> None:
    photos = tmp_path / "modes"
    photos.mkdir()
    for mode in ("1", "L", "P", "RGB", "RGBA", "CMYK", "I;16"):
        Image.new(mode, (20, 30)).save(photos / f"{mode.replace(';', '')}.tif")
    store = belvedere.open(tmp_path / "store")
    store.add_model("m", world.source)
    store.add_images("modes", photos)
    assert store.view("image_embeddings")[:].shape == (7, 12)


def test_a_store_that_was_moved_recomputes_nothing(filled: Store, tmp_path: Path) -> None:
    before = filled.view("head_contributions")[:20]
    moved = belvedere.open(shutil.move(filled.path, tmp_path / "elsewhere"))
    with belvedere.trace() as seen:
        np.testing.assert_array_equal(moved.view("head_contributions")[:20], before)
        assert moved.view("head_descriptions").fill().filled == 0
    assert (seen.of("compute"), seen.of("load")) == ([], [])
