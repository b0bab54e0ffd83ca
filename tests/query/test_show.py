"""What a name stands for is told whole: a model, images, texts, a view, or several of these at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import belvedere
from belvedere.compute.joined import JOINED
from belvedere.query.seeing import show
from belvedere.query.seeing.show import Shown
from belvedere.query.store import Store
from belvedere.store.errors import UnknownName
from tests.small_views import Letters, Numbers
from tests.worlds import World, add_pictures


@pytest.fixture
def mixed(world: World, tmp_path: Path) -> Store:
    """A store in which images have labels, two sizes, a broken picture and one that is gone."""
    folder = add_pictures(tmp_path / "mixed" / "cats", range(3)).parent
    add_pictures(folder / "dogs", range(3, 8))
    (folder / "dogs" / "00005.png").write_bytes(b"no picture")
    store = belvedere.open(tmp_path / "store")
    store.add_model("m", world.source)
    store.add_images("pets", folder, labels="folder")
    (folder / "cats" / "00001.png").unlink()
    store.add_images("pets", folder, labels="folder")
    return store


def only(found: list[Shown]) -> Shown:
    (each,) = found
    return each


def test_all_names_are_told_in_a_line_each(store: Store, world: World) -> None:
    assert store.show() == [
        Shown(
            "model",
            "m",
            "2 layers of 2 heads, 5 tokens, 12 dimensions, float32",
            {"source": world.source, "count": None},
        ),
        Shown("images", "photos", "300 images", {"source": str(world.photos), "count": 300}),
        Shown("texts", "words", "12 texts", {"source": "a list of 12", "count": 12}),
    ]


def test_an_empty_store_has_nothing_to_show(tmp_path: Path) -> None:
    assert belvedere.open(tmp_path / "store").show() == []


def test_a_model_has_sizes_digests_and_settings(store: Store, world: World) -> None:
    found = only(store.show("m"))
    model = store._engine.folder.names.model("m")
    expected = {
        "source": world.source,
        "note": None,
        "checkpoint": None,
        "precision": "float32",
        "layers": 2,
        "heads": 2,
        "head_dim": 8,
        "width": 16,
        "joint": 12,
        "tokens": 5,
        "image_weights": model.image["weights"],
        "text_weights": model.text["weights"],
    }
    assert {name: found.facts[name] for name in expected} == expected
    assert {"image_preprocessing", "text_tokenizer", "libraries"} <= set(found.facts)


def test_modules_are_listed_in_the_order_of_the_model_with_their_neurons(store: Store) -> None:
    listed = only(store.show("m")).lists["modules"]
    assert [each["module"] for each in listed[:4]] == [
        "visual",
        "visual.conv1",
        "visual.patch_dropout",
        "visual.ln_pre",
    ]
    described = {each["module"]: each for each in listed}
    assert described["visual.conv1"] == {
        "module": "visual.conv1",
        "class": "Conv2d",
        "neurons": 16,
        "shape": [16, 2, 2],
        "calls": 1,
        "problem": None,
    }
    gelu = described["visual.transformer.resblocks.1.mlp.gelu"]
    assert (gelu["neurons"], gelu["shape"]) == (64, [5, 64])


def test_images_have_counts_of_sizes_and_labels_and_of_what_cannot_be_read(mixed: Store) -> None:
    found = only(mixed.show("pets", rows=2))
    assert found.holds == "8 images, 2 of them unreadable"
    facts = {name: found.facts[name] for name in ("count", "unreadable", "gone")}
    assert facts == {"count": 8, "unreadable": 1, "gone": 1}
    folder = Path(found.facts["source"])
    assert found.lists == {
        "sizes": [{"width": 16, "height": 16, "count": 6}],
        "labels": [{"label": "dogs", "count": 5}, {"label": "cats", "count": 3}],
        "groups": [],
        "first": [
            {
                "image_id": 0,
                "path": str(folder / "cats" / "00000.png"),
                "label": "cats",
                "width": 16,
                "height": 16,
            },
            {
                "image_id": 1,
                "path": str(folder / "cats" / "00001.png"),
                "label": "cats",
                "width": None,
                "height": None,
            },
        ],
    }


@pytest.mark.parametrize("name", sorted(JOINED))
def test_a_name_for_several_views_is_told_with_all_of_them(store: Store, name: str) -> None:
    found, joined = only(store.show(name)), JOINED[name]
    assert (found.name, found.holds) == (name, joined.summary)
    picks, *others = found.lists["parameters"]
    assert (picks["parameter"], picks["values"]) == (joined.param, ", ".join(joined.views))
    assert {row["of"] for row in others} >= {*joined.views.values()} & {
        row["of"] for each in joined.views.values() for row in only(store.show(each)).lists["parameters"]
    }
    assert [row["column"] for row in found.lists["columns"]] == list(
        store.sql(f"FROM {name} LIMIT 0").columns
    )
    assert [(row[joined.param], row["view"]) for row in found.lists["views"]] == list(joined.views.items())


def test_texts_have_categories_in_order_of_their_count(store: Store, tmp_path: Path) -> None:
    table = tmp_path / "texts.csv"
    table.write_text("text,category\na dog,animal\na cat,animal\nred,colour\nthing,\n")
    store.add_texts("few", str(table))
    found = only(store.show("few", rows=1))
    assert found.holds == "4 texts in 2 categories"
    assert found.lists == {
        "categories": [
            {"category": "animal", "count": 2},
            {"category": "colour", "count": 1},
            {"category": None, "count": 1},
        ],
        "first": [{"text_id": 0, "text": "a dog", "category": "animal"}],
    }


def test_a_view_has_its_parameters_and_columns_whatever_the_store_holds(tmp_path: Path) -> None:
    found = only(belvedere.open(tmp_path / "store").show("head_roles"))
    assert (found.kind, found.facts["gives"], found.facts["inputs"]) == (
        "view",
        "table",
        "model, images, texts",
    )
    parameters = {row["parameter"]: row for row in found.lists["parameters"]}
    assert list(parameters) == ["share", "alpha", "convention", "span", "m", "dtype"]
    assert parameters["m"] == {
        "parameter": "m",
        "default": 20,
        "values": "int",
        "chosen": "on reading",
        "of": "head_descriptions",
        "means": "Descriptions of each head, at most 60.",
    }
    assert [row["column"] for row in found.lists["columns"]] == [
        *("model", "image_set", "text_set"),
        *("layer", "head", "role", "score", "p_value", "runner_up"),
    ]


def test_every_view_tells_its_axes_or_columns_and_what_its_parameters_mean(store: Store) -> None:
    hidden = (
        *("activation_maps", "chosen_contributions", "concept_masks", "foreground_masks", "head_moments"),
        *("imported_contributions", "relevance_maps", "second_order_maps", "text_tower_maps"),
        *("top_activations", "tower_maps"),
    )
    for row in store.views():
        found = only(store.show(row["view"]))
        told = row["kind"] == "array" and row["view"] != "imported_contributions"  # its axes are its file's
        assert bool(found.facts["axes"]) == told, found
        assert bool(found.lists["columns"]) == (row["view"] not in hidden), found
        assert [each["parameter"] for each in found.lists["parameters"] if not each["means"]] == []


def test_a_view_of_ones_own_is_told_as_far_as_it_says(store: Store) -> None:
    letters, numbers = show._view(Letters), show._view(Numbers)
    assert (letters.holds, letters.facts["about"], letters.facts["axes"]) == (
        "How often a, b and c occur in each text; or the same number everywhere.",
        None,
        "text, letter",
    )
    (block, value) = letters.lists["parameters"]
    assert (block["default"], block["means"], value["values"]) == (4, None, "count, zero, nan")
    assert numbers.lists["columns"][:2] == [
        {"column": "text_set", "type": "string"},
        {"column": "layer", "type": "int32"},
    ]


def test_a_name_that_stands_for_several_things_shows_them_all(store: Store) -> None:
    store.add_texts("photos", ["one"])
    store.add_texts("head_roles", ["two"])
    assert [each.kind for each in store.show("photos")] == ["images", "texts"]
    assert [each.kind for each in store.show("head_roles")] == ["texts", "view"]


def test_a_name_that_is_nothing_is_refused_with_the_nearest(store: Store) -> None:
    said = "no model, images, texts or view 'fotos'; did you mean 'photos'?"
    with pytest.raises(UnknownName, match=said.replace("?", r"\?")):
        store.show("fotos")


def test_a_record_has_everything(store: Store) -> None:
    found: dict[str, Any] = only(store.show("words")).record()
    assert list(found) == [*("kind", "name", "holds", "source", "count", "contents", "categories", "first")]
