"""A store that is open to read, and computes what it lacks in memory."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

import belvedere
from belvedere.compute.running.report import Report
from belvedere.query.store import Store
from belvedere.store.errors import BadSource, MissingUnits
from tests.worlds import World


def files(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def test_a_read_of_what_is_missing_says_how_to_have_it_in_memory(store: Store) -> None:
    with pytest.raises(MissingUnits, match='mode="a" to fill it, or with memory=True to compute in memory'):
        belvedere.open(store.path, mode="r").view("image_embeddings")[0]


def test_what_is_missing_is_computed_once_and_nothing_on_disk_is_touched(store: Store, kept: Store) -> None:
    before = files(store.path)
    with belvedere.open(store.path, mode="r", memory=True) as above:
        expected = kept.view("head_contributions")[:]
        np.testing.assert_allclose(above.view("head_contributions")[:], expected, atol=1e-6)
        with belvedere.trace() as seen:
            above.view("head_contributions")[250:260]
        assert seen.of("compute") == []
        assert above.view("head_contributions").status().missing == 0
        assert len(above.sql("FROM runs").fetchall()) == 1
        assert above.verify().damage == ()
    assert files(store.path) == before


def test_what_is_on_disk_is_read_and_only_the_rest_computed(filled: Store) -> None:
    before = files(filled.path)
    with belvedere.open(filled.path, mode="r", memory=True) as above:
        assert above.view("head_descriptions").fill() == Report(reused=2)
        assert above.view("head_roles").fill() == Report(filled=2)
        assert len(above.sql("FROM head_roles").fetchall()) == 4
    assert files(filled.path) == before


def test_closing_lets_go_of_what_was_computed(store: Store) -> None:
    above = belvedere.open(store.path, mode="r", memory=True)
    view = above.view("text_embeddings")
    assert view.fill() == Report(filled=1)
    above.close()
    assert (view.status().ready, above.view("text_embeddings").status().ready) == (0, 0)


def test_names_can_be_given_in_memory(store: Store, world: World) -> None:
    before = files(store.path)
    with belvedere.open(store.path, mode="r", memory=True) as above:
        above.add_texts("mine", ["a dog", "a star"])
        above.rename("words", "old")
        assert above.view("text_embeddings", texts="mine")[:].shape == (2, 12)
        assert above.sql("SELECT text_set FROM text_sets ORDER BY 1").fetchall() == [("mine",), ("old",)]
    assert files(store.path) == before
    assert belvedere.open(store.path).sql("SELECT text_set FROM text_sets").fetchall() == [("words",)]


def test_an_array_that_is_handed_on_is_opened_to_read(store: Store) -> None:
    with belvedere.open(store.path, mode="r", memory=True) as above:
        array = above.view("text_embeddings")
        array.fill()
        other = pickle.loads(pickle.dumps(array))
    with pytest.raises(MissingUnits):
        other[:]


def test_memory_goes_with_reading_alone(tmp_path: Path) -> None:
    with pytest.raises(BadSource, match='memory=True goes with mode="r"'):
        belvedere.open(tmp_path / "store", memory=True)
    assert not (tmp_path / "store").exists()
