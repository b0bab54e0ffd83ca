"""Classes as a model embeds them, and texts written into templates."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import belvedere
from belvedere.compute.text_sources import filled, find
from belvedere.store.errors import BadSource


def test_a_class_is_the_mean_of_its_texts_at_unit_norm(store: belvedere.Store, tmp_path: Path) -> None:
    table = tmp_path / "classes.csv"
    table.write_text("text,category\na dog,dog\na star,\nno dog,dog\na boat,boat\n")
    store.add_texts("classes", table)
    view = store.view("class_embeddings", texts="classes")
    assert view.dims == ("class", "joint")
    assert view.coords["class"] == ("dog", "a star", "boat")
    each = store.view("text_embeddings", texts="classes")[:].astype(np.float64)
    literal = np.stack([(each[0] + each[2]) / 2, each[1], each[3]])
    literal /= np.linalg.norm(literal, axis=1, keepdims=True)
    np.testing.assert_allclose(view[:], literal, atol=1e-7)
    rows = store.sql("SELECT class, vector[1] FROM class_embeddings WHERE text_set = 'classes'").fetchall()
    assert [row[0] for row in rows] == ["dog", "a star", "boat"]
    assert rows[0][1] == pytest.approx(literal[0, 0])


def test_templates_write_each_text_once_into_each_sentence(tmp_path: Path) -> None:
    sentences = tmp_path / "templates.txt"
    sentences.write_text("a {}.\n\nthe {} here\n")
    rows = filled(find(["dog", "red hat"]), sentences).to_pylist()
    assert [(row["text"], row["category"]) for row in rows] == [
        ("a dog.", "dog"),
        ("the dog here", "dog"),
        ("a red hat.", "red hat"),
        ("the red hat here", "red hat"),
    ]
    assert len(filled(find(["dog"]), "builtin:templates")) == 40


@pytest.mark.parametrize("template", ["a dog", "{} and {}"])
def test_a_template_without_one_place_for_the_text_is_refused(template: str) -> None:
    with pytest.raises(BadSource, match=r"has to have \{\} once"):
        filled(find(["dog"]), [template])


def test_a_class_whose_text_is_too_long_fails_by_name(store: belvedere.Store) -> None:
    store.add_texts("long", ["a dog", "a very " * 20 + "long dog"])
    report = store.view("class_embeddings", texts="long").fill(progress=False)
    assert report.failed == 1
    assert "1 of the classes' texts" in " ".join(each.message for each in store.errors())


def test_there_can_be_many_classes(store: belvedere.Store) -> None:
    store.add_texts("many", [f"a dog {number}" for number in range(130)])
    assert store.view("class_embeddings", texts="many")[[0, 129]].shape == (2, 12)
