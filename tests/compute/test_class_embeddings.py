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


def test_logits_are_cosines_and_those_of_heads_are_parts_of_them(store: belvedere.Store) -> None:
    store.add_texts("kinds", ["a dog", "a star", "a boat"])
    classes = store.view("class_embeddings", texts="kinds")[:].astype(np.float64)
    whole = store.view("class_logits", texts="kinds")
    assert (whole.dims, whole.coords["class"]) == (("image", "class"), ("a dog", "a star", "a boat"))
    embeddings = store.view("image_embeddings")[:].astype(np.float64)
    np.testing.assert_allclose(whole[:], embeddings @ classes.T, atol=1e-6)
    added = store.view("head_contributions")[:].astype(np.float64)
    for heads, some in (("layer = 1", added[:, 1]), ("head = 0", added[:, :, 0]), ("1.0", added[:, 1, [0]])):
        part = store.view("class_logits", texts="kinds", heads=heads)
        np.testing.assert_allclose(part[:], some.sum(axis=1) @ classes.T, atol=1e-6)
    others = (store.view(f"{each}_contributions")[:].sum(axis=1) for each in ("mlp", "residual"))
    rest = sum(others).astype(np.float64) @ classes.T
    parts = sum(store.view("class_logits", texts="kinds", heads=f"layer = {layer}")[:] for layer in (0, 1))
    np.testing.assert_allclose(parts + rest, whole[:], atol=1e-5)
    rows = store.sql(
        "SELECT image_id, class, logit FROM class_logits WHERE heads = 'layer = 1' AND class = 'a star' "
        "AND text_set = 'kinds' ORDER BY image_id"
    ).fetchall()
    assert [row[0] for row in rows] == list(range(len(embeddings)))
    np.testing.assert_allclose([row[2] for row in rows], added[:, 1].sum(axis=1) @ classes[1], atol=1e-6)


def test_there_can_be_many_classes(store: belvedere.Store) -> None:
    store.add_texts("many", [f"a dog {number}" for number in range(130)])
    assert store.view("class_embeddings", texts="many")[[0, 129]].shape == (2, 12)
