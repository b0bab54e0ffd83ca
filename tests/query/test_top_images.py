"""The images at the top of each neuron, against sorting; and at both ends of what heads tell apart."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

import belvedere
from belvedere.compute.views import top_activations
from belvedere.store.errors import BadSelection, BadSource
from tests.worlds import TEXTS, World, add_pictures

MODULE = "visual.transformer.resblocks.1.mlp.gelu"
OTHER = "visual.transformer.resblocks.0.mlp.gelu"


@pytest.fixture
def twins(world: World, tmp_path: Path) -> belvedere.Store:
    """A store of 300 pictures, ten of which are there twice."""
    photos = Path(shutil.copytree(world.photos, tmp_path / "photos"))
    for number in range(10):
        shutil.copy(photos / f"{number:05}.png", photos / f"{200 + number:05}.png")
    return World(world.clip, photos).store(tmp_path / "store")


def test_top_images_are_those_of_a_full_sort_ties_included(twins: belvedere.Store) -> None:
    activations = twins.view("neuron_activations", module=MODULE)[...]
    rows = twins.view("top_images", module=MODULE, k=100).df()
    assert list(rows.columns) == ["model", "image_set", "module", "neuron", "rank", "image_id", "activation"]
    assert len(rows) == 64 * 100
    for neuron, found in rows.groupby("neuron"):
        order = np.argsort(-activations[:, neuron], kind="stable")[:100]
        assert found["image_id"].tolist() == order.tolist()
        assert found["rank"].tolist() == list(range(100))
        np.testing.assert_array_equal(found["activation"], activations[order, neuron])


def test_fewer_images_are_shown_where_fewer_are_asked_or_there(world: World, tmp_path: Path) -> None:
    store = World(world.clip, add_pictures(tmp_path / "few", range(7))).store(tmp_path / "store")
    counts = [len(store.view("top_images", module=MODULE, k=k).df()) for k in (1, 5, 100)]
    assert counts == [64, 5 * 64, 7 * 64]
    with pytest.raises(BadSource, match="k=101: from 1 to 100 images of each neuron are kept"):
        store.view("top_images", module=MODULE, k=101)


def test_a_condition_computes_only_the_neurons_it_can_touch(store: belvedere.Store) -> None:
    wide = store.view("top_images", module=MODULE)
    assert wide.where("neuron = 3").plan().by_view() == {
        "neuron_activations": 2,
        "top_activations": 1,
        "top_images": 1,
    }
    for nothing in ("neuron = 64", "module = 'another'"):
        with pytest.raises(BadSelection, match=f"row for which {nothing} holds; it has neuron 0 to 63"):
            wide.where(nothing).plan()
        assert len(wide.where(nothing).df()) == 0


def test_sql_names_the_module_that_was_not_filled(store: belvedere.Store) -> None:
    store.view("top_images", module=MODULE).fill()
    answer = store.sql("SELECT DISTINCT module FROM top_images")
    assert (answer.completeness.complete, answer.fetchall()) == (True, [(MODULE,)])
    lacking = store.sql("SELECT * FROM top_images WHERE module = $name", {"name": OTHER})
    assert str(lacking.completeness) == f"top_images lacks 1 of 1 units (m × photos × {OTHER})"
    joined = store.sql(
        "SELECT rank, image_id FROM top_images JOIN images USING (image_set, image_id) "
        "WHERE neuron = 5 AND rank < 3 ORDER BY rank"
    )
    expected = store.view("top_images", module=MODULE).where("neuron = 5 AND rank < 3").df()
    assert joined.fetchall() == list(zip(expected["rank"], expected["image_id"], strict=True))


def test_appended_images_make_the_table_stale_and_only_the_new_are_run(twins: belvedere.Store) -> None:
    table = twins.view("top_images", module=MODULE)
    table.fill()
    folder = Path(str(twins.sql("SELECT path FROM images LIMIT 1").fetchall()[0][0])).parent
    add_pictures(folder, range(900, 904))
    twins.add_images("photos", folder)
    grown = twins.view("top_images", module=MODULE)
    assert (grown.status().stale, grown.status().causes) == (1, ("images appended: 300 → 304",))
    assert grown.plan().by_view() == {"neuron_activations": 1, "top_activations": 1, "top_images": 1}
    assert len(grown.df()) == 64 * 20


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut what is largest into blocks of 256 images, so that 300 have two."""
    monkeypatch.setattr(top_activations, "TOP_BLOCK", 256)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.usefixtures("small_blocks")
def test_what_is_largest_in_blocks_merges_to_a_full_sort(world: World, tmp_path: Path, dtype: str) -> None:
    photos = Path(shutil.copytree(world.photos, tmp_path / "photos"))
    for number in range(30):
        shutil.copy(photos / f"{number:05}.png", photos / f"{270 + number:05}.png")  # ties across blocks
    (photos / "00150.png").write_bytes(b"no picture")
    store = World(world.clip, photos).store(tmp_path / "store")
    found = store.view("neuron_activations", module=MODULE, dtype=dtype)
    there = np.delete(np.arange(300), 150)
    activations, largest = found[there], store.view("top_activations", module=MODULE, dtype=dtype)
    for neuron, rows in store.view("top_images", module=MODULE, dtype=dtype, k=100).df().groupby("neuron"):
        order = np.argsort(-activations[:, neuron], kind="stable")[:100]
        assert rows["image_id"].tolist() == there[order].tolist()
        np.testing.assert_array_equal(rows["activation"], activations[order, neuron])
        np.testing.assert_array_equal(largest[int(neuron)], activations[order, neuron])
    assert largest[60:, ::-1].shape == (4, 100)


@pytest.mark.usefixtures("small_blocks")
def test_appended_images_read_no_activations_of_blocks_that_are_full(twins: belvedere.Store) -> None:
    twins.view("top_images", module=MODULE).fill()
    first = twins.view("neuron_activations", module=MODULE)._view.units[0].key
    folder = Path(str(twins.sql("SELECT path FROM images LIMIT 1").fetchall()[0][0])).parent
    add_pictures(folder, range(900, 904))
    twins.add_images("photos", folder)
    with belvedere.trace() as seen:
        twins.view("top_images", module=MODULE).fill()
    made = [detail.split("/")[0] + "[" + detail.split("[")[1] for detail in seen.of("compute")]
    assert made == [
        "neuron_activations[image 256:304]",
        "top_activations[image 256:304]",
        "top_images[neuron 0:64]",
    ]
    assert [path for path in seen.of("read") if path.startswith("data/") and first in path] == []


def test_fewer_images_than_are_kept_leave_nan_behind_them(world: World, tmp_path: Path) -> None:
    store = World(world.clip, add_pictures(tmp_path / "few", range(7))).store(tmp_path / "store")
    largest = store.view("top_activations", module=MODULE)[...]
    assert (largest.shape, np.isnan(largest).sum(axis=1).tolist()) == ((64, 100), [93] * 64)


def ends(scores: Any, k: int) -> tuple[list[int], list[int]]:
    """Sort: the images with the highest scores, and those with the lowest."""
    return np.argsort(-scores, kind="stable")[:k].tolist(), np.argsort(scores, kind="stable")[:k].tolist()


@pytest.mark.parametrize("convention", ["own", "clip_prs"])
def test_both_ends_of_a_head_are_those_of_its_dense_contributions(
    filled: belvedere.Store, convention: str
) -> None:
    table = filled.view("head_top_images", convention=convention).where("layer = 1 AND head = 0").df()
    columns = ["model", "image_set", "text_set", "layer", "head", "direction", "rank", "image_id", "score"]
    assert list(table.columns) == columns
    heads = filled.view("head_contributions", convention=convention)[:, 1, 0].astype(np.float64)
    texts = filled.view("text_embeddings")[...].astype(np.float64)
    said = filled.view("head_descriptions", convention=convention).where("layer = 1 AND head = 0").df()
    names = [f"component {number}" for number in range(5)]
    assert list(dict.fromkeys(table["direction"])) == [*said["description"], *names]
    centred = heads - heads.mean(0)
    axes = np.linalg.svd(centred, full_matrices=False)[2]
    for direction, rows in table.groupby("direction"):
        if direction in names:
            axis = axes[names.index(direction)]
            scores = centred @ axis * np.sign(axis[np.abs(axis).argmax()])
        else:
            scores = heads @ texts[TEXTS.index(direction)]
        top, bottom = (rows[rows["rank"] >= 0], rows[rows["rank"] < 0].sort_values("rank", ascending=False))
        assert (top["image_id"].tolist(), bottom["image_id"].tolist()) == ends(scores, 10)
        assert (top["rank"].tolist(), bottom["rank"].tolist()) == (list(range(10)), list(range(-1, -11, -1)))
        np.testing.assert_allclose(top["score"], np.sort(scores)[::-1][:10], atol=1e-6)
        np.testing.assert_allclose(bottom["score"], np.sort(scores)[:10], atol=1e-6)


def test_fewer_directions_and_images_are_shown_where_fewer_are_asked(filled: belvedere.Store) -> None:
    table = filled.view("head_top_images", k=3, m=2).where("layer = 0 AND head = 1").df()
    assert len(table) == (2 + 5) * 2 * 3
    assert filled.view("head_top_images", k=50, m=1).plan().units == 1, "the same rows serve every k and m"
    for params, message in (
        ({"k": 51}, "k=51: from 1 to 50"),
        ({"m": 21}, "m=21: images are kept of at most 20"),
    ):
        with pytest.raises(BadSource, match=message):
            filled.view("head_top_images", **cast("Any", params))


def test_the_tables_of_heads_join(filled: belvedere.Store) -> None:
    filled.view("head_top_images").fill()
    filled.view("head_roles").fill()
    rows = filled.sql(
        """
        SELECT layer, head, role, direction, text_id, path
        FROM head_roles
        JOIN head_descriptions USING (model, image_set, text_set, layer, head)
        JOIN head_top_images USING (model, image_set, text_set, layer, head)
        JOIN texts USING (text_set, text_id)
        JOIN images USING (image_set, image_id)
        WHERE head_descriptions.rank = 0 AND direction = text AND head_top_images.rank = 0
        ORDER BY layer, head
        """
    )
    assert rows.completeness.complete
    assert [row[:2] for row in rows.fetchall()] == [(0, 0), (0, 1), (1, 0), (1, 1)]
