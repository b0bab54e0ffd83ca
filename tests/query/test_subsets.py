"""Sets of images are chosen by SQL from those that are there, complete or not at all."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import belvedere
from belvedere.compute.images.pictures import Pictures
from belvedere.store.errors import BadSource, MissingUnits, NameTaken, QueryError, UnknownName
from tests.worlds import add_pictures, picture

DOGS = "SELECT image_set, image_id FROM images WHERE label = 'dog' AND image_set = 'pets' ORDER BY path DESC"


@pytest.fixture
def pets(store: belvedere.Store, tmp_path: Path) -> belvedere.Store:
    """The small store with a set of two cats and three dogs, besides its 300 photos."""
    add_pictures(tmp_path / "pets" / "cat", range(2))
    add_pictures(tmp_path / "pets" / "dog", range(2, 5))
    store.add_images("pets", tmp_path / "pets", labels="folder")
    return store


def listed(store: belvedere.Store, name: str) -> list[tuple[Any, ...]]:
    columns = "parse_filename(path), label, digest, width"
    query = f"SELECT {columns} FROM images WHERE image_set = $name ORDER BY image_id"
    return store.sql(query, {"name": name}).fetchall()


def test_a_subset_has_the_rows_it_names_in_its_order_and_reads_no_file(
    pets: belvedere.Store, tmp_path: Path
) -> None:
    shutil.rmtree(tmp_path / "pets")
    added = pets.add_images("dogs", sql=DOGS)
    assert (added.count, added.new, added.changed, added.gone) == (3, 3, 0, 0)
    assert listed(pets, "dogs") == listed(pets, "pets")[:1:-1]
    sources = pets.sql("SELECT source FROM image_sets WHERE image_set = 'dogs'").fetchall()
    assert sources == [(f"sql: {DOGS}",)]


def test_a_subset_may_join_the_tables_of_views(kept: belvedere.Store, tmp_path: Path) -> None:
    store = belvedere.open(shutil.copytree(kept.path, tmp_path / "copy"))
    statement = """
        SELECT DISTINCT image_set, image_id, layer FROM images JOIN head_descriptions USING (image_set)
        WHERE image_id < 4 AND layer = 1 ORDER BY image_id DESC
    """
    assert store.add_images("few", sql=statement).count == 4
    rows = store.view("image_embeddings", images="few")[:]
    assert np.array_equal(rows, store.view("image_embeddings", images="photos")[:4][::-1])


def test_a_subset_of_an_incomplete_answer_is_refused(store: belvedere.Store) -> None:
    statement = "SELECT image_set, 0 AS image_id FROM head_descriptions WHERE image_set = 'photos'"
    with pytest.raises(MissingUnits, match="head_descriptions"):
        store.add_images("few", sql=statement)
    assert store.sql("SELECT image_set FROM image_sets").fetchall() == [("photos",)]


def test_a_subset_of_two_sets_names_pictures_of_both(pets: belvedere.Store) -> None:
    statement = "SELECT image_set, image_id FROM images WHERE image_id = 1 ORDER BY image_set"
    pets.add_images("both", sql=statement)
    assert [name for name, *_ in listed(pets, "both")] == ["00001.png", "00001.png"]
    assert pets.view("image_embeddings", images="both")[:].shape == (2, 12)


@pytest.mark.parametrize(
    ("statement", "error", "message"),
    [
        (
            "SELECT image_id FROM images",
            QueryError,
            "answers with image_id; it has to answer with image_set and",
        ),
        ("SELECT image_set, path FROM images", QueryError, "answers with image_set, path; it has to"),
        ("SELECT image_set, image_id FROM images WHERE label = 'x'", BadSource, "chooses no images"),
        (
            "SELECT image_set, 0 AS image_id FROM images",
            BadSource,
            r"chooses .*\.png twice: image 0 of p\w+, and image 0 of p",
        ),
        (
            "SELECT 'pets' AS image_set, 5 AS image_id",
            QueryError,
            "pets has 5 images, counted from 0, and none",
        ),
        ("SELECT 'pets' AS image_set, 0.5 AS image_id", QueryError, "image_id a whole number in each row"),
        ("SELECT 'pets' AS image_set, NULL::INT AS image_id", QueryError, "in each row"),
        (
            "SELECT 'pest' AS image_set, 0 AS image_id",
            UnknownName,
            "no image set 'pest'; did you mean 'pets'",
        ),
        ("SELEC 1", QueryError, "only one SELECT"),
    ],
)
def test_a_statement_that_names_no_images_is_refused(
    pets: belvedere.Store, statement: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        pets.add_images("x", sql=statement)


def test_a_source_and_a_statement_are_not_given_at_once(pets: belvedere.Store, tmp_path: Path) -> None:
    for given in ({}, {"source": tmp_path, "sql": DOGS}, {"sql": DOGS, "labels": "folder"}):
        with pytest.raises(BadSource, match="or from sql: give one"):
            pets.add_images("x", **given)


def test_the_same_statement_appends_what_it_has_gained(pets: belvedere.Store, tmp_path: Path) -> None:
    pets.add_images("dogs", sql=DOGS)
    before = listed(pets, "dogs")
    add_pictures(tmp_path / "pets" / "dog", [9])
    pets.add_images("pets", tmp_path / "pets", labels="folder")
    assert pets.add_images("dogs", sql=DOGS).new == 1
    assert listed(pets, "dogs")[:3] == before
    assert listed(pets, "dogs")[3][0] == "00009.png"


def test_a_subset_that_has_lost_a_row_is_refused_unless_replaced(
    pets: belvedere.Store, tmp_path: Path
) -> None:
    pets.add_images("dogs", sql=DOGS)
    shutil.rmtree(tmp_path / "pets" / "dog")
    add_pictures(tmp_path / "pets" / "dog", [3])
    pets.add_images("pets", tmp_path / "pets", labels="folder", replace=True)
    told = (
        r"stands for 3 images from sql: .*, which leaves out 2 of them now, .*00004\.png first; take another"
    )
    with pytest.raises(NameTaken, match=told):
        pets.add_images("dogs", sql=DOGS)
    assert len(listed(pets, "dogs")) == 3
    assert pets.add_images("dogs", sql=DOGS, replace=True).count == 1


def test_a_picture_that_changed_in_its_set_changes_in_the_subset(
    pets: belvedere.Store, tmp_path: Path
) -> None:
    pets.add_images("dogs", sql=DOGS)
    (tmp_path / "pets" / "dog" / "00004.png").write_bytes(picture(77))
    (tmp_path / "pets" / "dog" / "00002.png").unlink()
    pets.add_images("pets", tmp_path / "pets", labels="folder")
    added = pets.add_images("dogs", sql=DOGS)
    assert (added.count, added.changed, added.gone) == (3, 1, 1)


def test_a_set_that_changes_while_it_is_asked_is_asked_again(
    pets: belvedere.Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, other = type(pets).sql, belvedere.open(pets.path)

    def late(self: belvedere.Store, *words: Any, **options: Any) -> Any:
        answer = real(self, *words, **options)
        monkeypatch.setattr(type(pets), "sql", real)
        other.add_images("pets", tmp_path / "pets" / "dog", replace=True)
        return answer

    monkeypatch.setattr(type(pets), "sql", late)
    pets.add_images("first", sql="SELECT image_set, image_id FROM images WHERE image_set = 'pets' LIMIT 1")
    assert [name for name, *_ in listed(pets, "first")] == ["00002.png"]


def test_no_picture_is_read_for_a_subset(pets: belvedere.Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pictures, "read", None)
    monkeypatch.setattr(Pictures, "stamp", None)
    assert pets.add_images("dogs", sql=DOGS).count == 3
