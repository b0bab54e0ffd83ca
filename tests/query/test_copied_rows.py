"""Sets chosen from others: what is kept of an image is copied, and only the rest goes through the model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import belvedere
from tests.worlds import World, add_pictures, engine, picture, records

CHOSEN = [5, 290, 17, 256, 255, 3]


def paths(world: World, numbers: Any) -> list[Path]:
    return [world.photos / f"{number:05}.png" for number in numbers]


def test_rows_that_are_kept_are_copied_and_no_model_is_loaded(filled: belvedere.Store, world: World) -> None:
    filled.add_images("chosen", paths(world, CHOSEN))
    for name in ("image_embeddings", "mlp_contributions", "head_contributions"):
        view, whole = filled.view(name, images="chosen"), filled.view(name, images="photos")
        assert (view.plan().images, view.plan().copied) == (0, len(CHOSEN))
        with belvedere.trace() as seen:
            np.testing.assert_array_equal(view[...], whole[...][CHOSEN])
        assert seen.of("load") == []


def test_what_is_derived_of_a_subset_starts_no_model(filled: belvedere.Store, world: World) -> None:
    filled.add_images("chosen", paths(world, range(1, 300, 2)))
    with belvedere.trace() as seen:
        table = filled.view("head_top_images", images="chosen").where("layer = 1").df()
    assert seen.of("load") == []
    heads = filled.view("head_contributions", images="photos")[1::2, 1, 0]
    texts = filled.view("text_embeddings")[...]
    first = table[(table["head"] == 0) & (table["rank"] == 0)].iloc[0]
    text = filled.sql("SELECT text_id FROM texts WHERE text = $text", {"text": first["direction"]}).fetchall()
    assert int(np.argmax(heads @ texts[text[0][0]])) == first["image_id"]
    moments = filled.view("head_moments", images="chosen")[...]
    assert moments[0, 0, 0, 0] == 150


def test_images_that_are_new_are_run_and_the_others_copied(
    store: belvedere.Store, world: World, tmp_path: Path
) -> None:
    store.view("neuron_activations", module="visual", images="photos").fill(slice(0, 256))
    new = add_pictures(tmp_path / "new", [1000, 1001])
    files = [*paths(world, [4, 270]), *sorted(new.iterdir()), *paths(world, [9])]
    store.add_images("mixed", files)
    view = store.view("neuron_activations", module="visual", images="mixed")
    assert (view.plan().images, view.plan().copied) == (3, 2)
    assert "2 rows copied from what is kept of other image sets" in str(view.plan())
    report = view.fill()
    assert (report.filled, report.failed) == (1, 0)
    whole = store.view("neuron_activations", module="visual", images="photos")[...]
    np.testing.assert_allclose(view[...][[0, 1, 4]], whole[[4, 270, 9]], atol=1e-6)
    assert not np.allclose(view[2], view[3])


def test_views_of_one_set_lack_different_rows(store: belvedere.Store, world: World) -> None:
    store.view("head_contributions", images="photos").fill()
    store.view("mlp_contributions", images="photos").fill(slice(0, 256))
    store.add_images("chosen", paths(world, CHOSEN))
    both = [store.view(name, images="chosen") for name in ("head_contributions", "mlp_contributions")]
    plan = engine(store).plan([unit for each in both for unit in each._view.units])
    assert (plan.images, plan.copied) == (2, len(CHOSEN) + 4)
    for view in both:
        whole = store.view(view._view.name(), images="photos")[...]
        np.testing.assert_allclose(view[...], whole[CHOSEN], atol=1e-6)


def test_a_picture_that_cannot_be_read_is_absent_from_the_copy_too(world: World, tmp_path: Path) -> None:
    folder = add_pictures(tmp_path / "photos", range(4))
    (folder / "00002.png").write_bytes(picture(2)[:60])
    store = World(world.clip, folder).store(tmp_path / "store")
    store.view("image_embeddings").fill()
    store.add_images("turned", [folder / f"{number:05}.png" for number in (3, 2, 1)])
    view = store.view("image_embeddings", images="turned")
    assert (view.plan().images, view.plan().copied) == (0, 3)
    assert view.fill().absent == 1
    assert view.read(missing="mask").mask[:, 0].tolist() == [False, True, False]
    (copied,) = (record for record in records(store).values() if "copied_from" in record.facts)
    (whole,) = (record for record in records(store).values() if "copied_from" not in record.facts)
    error = whole.facts["relative_error"]
    assert copied.facts == {"relative_error": error, "copied_from": {whole.unit: 3}}
    assert (whole.made["device"], copied.made.get("device"), copied.made.get("batch_size")) == (
        "cpu",
        None,
        None,
    )
    assert "image_embeddings[m × turned]" in str(store.status()[1])


def test_a_source_that_turns_out_damaged_is_made_again(filled: belvedere.Store, world: World) -> None:
    filled.add_images("chosen", paths(world, CHOSEN))
    whole = filled.view("image_embeddings", images="photos")[...]
    for record in records(filled).values():
        if record.attempt.startswith("data/image_embeddings"):
            chunk = filled.path / record.attempt / "embedding/c/0/0"
            chunk.write_bytes(bytes(len(chunk.read_bytes())))
    again = belvedere.open(filled.path)
    found = again.view("image_embeddings", images="chosen")
    np.testing.assert_allclose(found[...], whole[CHOSEN], atol=1e-6)


@pytest.mark.parametrize("model", ["m", "n"])
def test_only_rows_of_the_same_recipe_are_copied(filled: belvedere.Store, world: World, model: str) -> None:
    filled.add_model("n", world.source, precision="bfloat16")
    filled.add_images("chosen", paths(world, CHOSEN))
    plan = filled.view("image_embeddings", model=model, images="chosen").plan()
    assert (plan.images, plan.copied) == ((0, 6) if model == "m" else (6, 0))


def test_another_set_that_is_damaged_is_no_business_of_a_fill(store: belvedere.Store, world: World) -> None:
    store.view("image_embeddings", images="photos").fill(slice(0, 256))
    store.add_images("others", paths(world, [1, 2]))
    entries = {path: path.read_bytes() for path in (store.path / "sets").iterdir()}
    store.add_images("more", paths(world, [1, 2, 3]))
    (new,) = set((store.path / "sets").iterdir()) - set(entries)
    new.write_bytes(new.read_bytes()[:-1] + b"?")
    again = belvedere.open(store.path)
    assert again.view("image_embeddings", images="photos").fill().complete


def test_seconds_are_told_of_what_runs_and_not_of_what_is_copied(
    store: belvedere.Store, world: World
) -> None:
    store.view("image_embeddings", images="photos").fill()
    store.add_images("turned", paths(world, reversed(range(300))))
    assert store.view("image_embeddings", images="turned").plan().seconds == 0
