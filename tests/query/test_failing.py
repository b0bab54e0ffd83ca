"""Units that cannot be made: recorded, counted, left alone until somebody asks for another try."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import belvedere
from belvedere.compute.running.report import Report, Settings
from belvedere.query.engine import Engine
from belvedere.query.lazy.array import LazyArray
from belvedere.query.store import Store
from belvedere.store.errors import BadSource, UnitFailed
from tests.small_views import Letters, LetterSums, small_engine, text_set
from tests.worlds import World, add_pictures, edit_weights, picture, records

LETTERS = Letters(text_set([letter * n for n in range(1, 6) for letter in "abc"]))  # 4 blocks
SUMS = LetterSums(LETTERS)  # of two blocks each


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """A store in which block 2 of the letters cannot be counted."""
    Letters.broken.add(2)
    yield small_engine(tmp_path / "store")
    Letters.broken.clear()


def test_a_unit_that_fails_is_recorded_and_the_rest_goes_on(engine: Engine) -> None:
    report = engine.fill(SUMS.units)
    assert report == Report(filled=4, failed=1, skipped=1)
    assert not report.complete
    (failure,) = engine.folder.failures.all()
    assert (failure.view, failure.unit, failure.row) == ("letters", LETTERS.units[2].key, None)
    assert (failure.error, failure.message) == ("ArithmeticError", "block 2 cannot be counted")
    status = LazyArray(engine, LETTERS).status()
    assert (status.ready, status.failed, status.missing) == (3, 1, 0)
    assert status.causes == ("block 2 cannot be counted",)


def test_a_unit_that_failed_is_not_tried_again_unless_asked(engine: Engine) -> None:
    engine.fill(SUMS.units)
    Letters.calls.clear()
    assert engine.fill(SUMS.units) == Report(reused=1, failed=1, skipped=1)
    assert Letters.calls == []
    again = Settings(retry_failed=True)
    assert engine.fill(SUMS.units, again) == Report(reused=1, failed=1, skipped=1)
    assert Letters.calls == [2]
    Letters.broken.clear()
    assert engine.fill(SUMS.units, again) == Report(filled=2, reused=1)
    assert engine.folder.failures.all() == []


def test_a_read_of_a_failed_unit_gives_the_reason_and_others_are_read(engine: Engine) -> None:
    view = LazyArray(engine, LETTERS)
    with pytest.raises(UnitFailed, match=r"unit letters/.*\[text 8:12\] could not be made: block 2 cannot"):
        view[:]
    assert view[:8].shape == (8, 3)
    assert np.ma.getmaskarray(view.read(missing="mask"))[:, 0].nonzero()[0].tolist() == [8, 9, 10, 11]
    with pytest.raises(UnitFailed, match="block 2 cannot be counted"):
        LazyArray(engine, SUMS)[:]


def test_a_model_that_gives_no_numbers_is_found_out_before_anything_is_kept(
    world: World, tmp_path: Path
) -> None:
    clip = Path(shutil.copytree(world.clip, tmp_path / "clip"))
    edit_weights(clip, "visual.ln_post.bias", float("nan"))
    store = World(clip, world.photos).store(tmp_path / "store")
    report = store.view("head_descriptions").fill()
    assert (report.failed, report.skipped) == (3, 3)
    found = {each.view: each for each in store.errors()}
    assert {name: each.error for name, each in found.items()} == {
        "head_contributions": "NoDirection",
        "tower_maps": "ArithmeticError",
    }
    assert "as numbers that are not finite, which have no direction" in found["head_contributions"].message
    assert found["tower_maps"].message == "the weights of 'm' make maps that are not finite; nothing was kept"
    assert {path.split("/")[1] for path in records(store)} == {"text_embeddings"}
    status = store.view("head_contributions").status()
    assert (status.failed, status.ready, len(status.causes)) == (2, 0, 2)  # of as many images as each has


def test_a_picture_that_changed_since_it_was_added_fails_its_block_alone(
    world: World, tmp_path: Path
) -> None:
    photos = Path(shutil.copytree(world.photos, tmp_path / "photos"))
    store = World(world.clip, photos).store(tmp_path / "store")
    (photos / "00299.png").write_bytes(picture(1))
    view = store.view("image_embeddings")
    assert view.fill() == Report(filled=1, failed=1)
    (failure,) = store.errors()
    assert failure.error == "PictureChanged"
    assert "00299.png has changed since it was added; add its image set again" in failure.message
    store.add_images("photos", photos)
    assert store.view("image_embeddings").fill() == Report(filled=1, reused=1)
    assert store.view("image_embeddings")[299].shape == (12,)


def test_a_picture_that_is_gone_fails_its_block_alone(world: World, tmp_path: Path) -> None:
    photos = add_pictures(tmp_path / "photos", range(3))
    store = World(world.clip, photos).store(tmp_path / "store")
    whole = (photos / "00001.png").read_bytes()
    (photos / "00001.png").unlink()
    with pytest.raises(UnitFailed, match=r"00001\.png cannot be read any more"):
        store.view("image_embeddings")[0]
    (photos / "00001.png").write_bytes(whole)
    assert store.view("image_embeddings").fill(retry_failed=True) == Report(filled=1)
    assert store.errors() == []


def test_a_model_folder_that_is_gone_stops_the_fill_and_is_no_failure_of_a_unit(
    world: World, tmp_path: Path
) -> None:
    clip = Path(shutil.copytree(world.clip, tmp_path / "clip"))
    store = World(clip, world.photos).store(tmp_path / "store")
    shutil.rmtree(clip)
    with pytest.raises(BadSource, match="is no open_clip model folder"):
        store.view("head_contributions").fill()
    assert (store.errors(), records(store)) == ([], {})
    assert not (store.path / "claims").exists() or not any(
        path.is_file() for path in (store.path / "claims").rglob("*")
    )


def test_half_of_a_shared_pass_that_failed_before_does_not_hold_up_the_other(store: Store) -> None:
    embeddings, heads = store.view("image_embeddings"), store.view("head_contributions")
    unit = embeddings._view.units[0]
    from belvedere.store.failures import failure

    store._engine.folder.failures.put(unit, [failure(unit, "Tried", "before")])
    report = store._engine.fill([*embeddings._view.units, *heads._view.units])
    assert report == Report(filled=4, failed=1)
    np.testing.assert_array_equal(heads[:10].shape, (10, 2, 2, 12))


def test_what_failed_is_shown_by_sql(engine: Engine) -> None:
    engine.fill(SUMS.units)
    store = belvedere.open(engine.folder.root)
    assert store.sql("SELECT view, error, message, row FROM errors").fetchall() == [
        ("letters", "ArithmeticError", "block 2 cannot be counted", None)
    ]
