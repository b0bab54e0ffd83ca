"""Second-order effects as views: kept as factors, shown as vectors, and made into directions and words."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import belvedere
from belvedere.compute.views import view_class
from belvedere.query.lazy.array import LazyArray
from belvedere.query.lazy.table import LazyTable
from belvedere.query.resolve import needed_inputs
from belvedere.query.store import Store
from belvedere.testing import SCENES, ViewContract, demo_store
from tests.worlds import TEXTS, add_pictures, engine, records

GELU = "visual.transformer.resblocks.0.mlp.gelu"
TABLES = ("second_order_top_images", "second_order_directions", "second_order_descriptions")


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store in which all of them are filled, for the contracts to copy."""
    pictures = tmp_path_factory.getbasetemp() / "scenes"
    with demo_store(tmp_path_factory.mktemp("second") / "store", SCENES, pictures) as store:
        assert TestSecondOrderDescriptions().ask(store).fill(batch_size=32).complete
    return store.path


class _Contract(ViewContract):
    """Of twenty scenes: a unit of effects is sixteen."""

    @pytest.fixture(autouse=True, scope="class")
    @staticmethod
    def _shared(request: pytest.FixtureRequest, filled: Path) -> None:
        assert request.cls is not None
        request.cls._kept = filled

    def ask(self, store: Store) -> LazyArray | LazyTable:
        """Ask for the view of the first scenes."""
        if not store._engine.folder.names.has("images", "few"):
            query = "SELECT image_set, image_id FROM images WHERE image_set = 'scenes' AND image_id < 20"
            store.add_images("few", sql=query)
        texts = {"texts": "words"} if "texts" in needed_inputs(view_class(self.view)) else {}
        found: LazyArray | LazyTable = store.view(
            self.view, model="clip", images="few", **texts, **self.parameters
        )
        return found


class TestSecondOrderEffects(_Contract):
    view = "second_order_effects"
    parameters: ClassVar[Mapping[str, Any]] = {"layer": 2}


class TestSecondOrderTopImages(_Contract):
    view = "second_order_top_images"


class TestSecondOrderDirections(_Contract):
    view = "second_order_directions"


class TestSecondOrderDescriptions(_Contract):
    view = "second_order_descriptions"
    parameters: ClassVar[Mapping[str, Any]] = {"m": 4}


@pytest.fixture(scope="module")
def small(world: Any, tmp_path_factory: pytest.TempPathFactory) -> belvedere.Store:
    """A store of the small world's model, 20 pictures and texts, with everything of this page filled."""
    folder = tmp_path_factory.mktemp("second")
    store = belvedere.open(folder / "store")
    store.add_model("m", world.source)
    store.add_images("photos", add_pictures(folder / "photos", range(20)))
    store.add_texts("words", TEXTS)
    assert store.view("second_order_descriptions", m=3).fill().complete
    return store


def test_effects_have_the_shape_of_neurons_and_any_part_reads_as_the_whole(small: belvedere.Store) -> None:
    effects = small.view("second_order_effects", layer=0)
    assert (effects.dims, effects.shape) == (("image", "neuron", "joint"), (20, 64, 12))
    whole = effects[:]
    assert np.allclose(effects[[3, 17], 60:, ::5], whole[[3, 17], 60:, ::5], atol=1e-7)
    assert np.array_equal(small.view("second_order_effects", layer=-2)[:], whole)
    assert [len(unit.view.members()) for unit in effects._view.units] == [2, 2], "sixteen images and four"
    achieved = [
        each.facts["relative_error"] for each in records(small).values() if "relative_error" in each.facts
    ]
    assert 0 < max(achieved) < 1e-5


def test_half_width_factors_are_nearly_the_same(small: belvedere.Store) -> None:
    full, half = (
        small.view("second_order_effects", layer=0, dtype=kind)[:] for kind in ("float32", "float16")
    )
    assert 0 < np.abs(half - full).max() < 2e-3 * np.abs(full).max()


def test_top_images_are_those_with_the_longest_effects(small: belvedere.Store) -> None:
    lengths = np.linalg.norm(small.view("second_order_effects", layer=0)[:].astype(np.float64), axis=-1)
    rows = small.view("second_order_top_images", k=5).df()
    assert list(rows.columns[2:]) == ["module", "layer", "neuron", "rank", "image_id", "score"]
    assert len(rows) == 64 * 5
    assert set(rows.module) == {GELU}
    for neuron in range(64):
        order = np.argsort(-lengths[:, neuron], kind="stable")[:5]
        mine = rows[rows.neuron == neuron]
        assert np.allclose(mine.score, lengths[order, neuron], rtol=1e-4)
        assert mine.image_id.tolist() == order.tolist()


def test_directions_are_principal_components_of_the_top_effects(small: belvedere.Store) -> None:
    effects = small.view("second_order_effects", layer=0)[:].astype(np.float64)
    rows = small.view("second_order_directions").df()
    assert rows.neuron.tolist() == list(range(64))
    for row in rows.itertuples():
        mine = effects[:, row.neuron]
        _, weights, vectors = np.linalg.svd(mine - mine.mean(axis=0))
        assert abs(np.asarray(row.vector) @ vectors[0]) > 1 - 1e-4
        assert np.isclose(row.variance, weights[0] ** 2 / np.square(weights).sum(), rtol=1e-3)
        assert np.sign(mine @ np.asarray(row.vector)).sum() >= 0
        assert np.allclose(row.mean, mine.mean(axis=0), atol=1e-5)
        assert (row.images, np.isclose(row.norm, np.linalg.norm(mine, axis=1).mean(), rtol=1e-4)) == (
            20,
            True,
        )


def test_a_direction_is_near_the_sum_of_its_texts(small: belvedere.Store) -> None:
    texts = small.view("text_embeddings")[:].astype(np.float64)
    texts -= texts.mean(axis=0)
    texts /= np.linalg.norm(texts, axis=1, keepdims=True)
    vectors = small.view("second_order_directions").df().vector
    rows = small.view("second_order_descriptions", m=3).df()
    for neuron, mine in rows.groupby("neuron"):
        assert mine["rank"].tolist() == [0, 1, 2]
        assert mine.description.tolist() == [TEXTS[text] for text in mine.text_id]
        assert np.all(np.diff(np.abs(mine.coefficient)) <= 0)
        rest = np.asarray(vectors[neuron]) - mine.coefficient.to_numpy() @ texts[mine.text_id]
        assert np.allclose(mine.fit, 1 - np.square(rest).sum(), atol=1e-6)
        assert np.abs(texts[mine.text_id] @ rest).max() < 1e-6, "no more can be had of these texts"


def test_appended_images_read_the_old_factors(small: belvedere.Store) -> None:
    units = [unit.key for unit in small.view("second_order_effects", layer=0)._view.units]
    seen = engine(small).folder.names.image_set("photos").contents(0, 16)
    assert len(units) == 2
    assert small.view("second_order_effects", layer=0)._view.contents(0, 16) == seen


def test_sql_finds_effects_by_module_and_tables_join_with_other_views(small: belvedere.Store) -> None:
    query = "SELECT neuron, vector FROM second_order_effects WHERE image_id = 3 AND neuron < 2 AND module = "
    answer = small.sql(f"{query}'{GELU}'")
    assert answer.completeness.complete
    vectors = small.view("second_order_effects", layer=0)[3, :2]
    assert np.allclose([row[1] for row in sorted(answer.fetchall())], vectors)
    small.view("top_images", images="photos", module=GELU).fill()
    joined = """
        SELECT count(*) FROM second_order_top_images s
        JOIN top_images t USING (model, image_set, module, neuron, image_id)
    """
    assert small.sql(joined).fetchall() == [(64 * 20,)]


def test_a_layer_without_a_later_head_is_refused(small: belvedere.Store) -> None:
    with pytest.raises(
        belvedere.BelvedereError, match=r"no head stands after the last MLP of 'm'.* layers 0 to 0"
    ):
        small.view("second_order_effects", layer=1)
    with pytest.raises(belvedere.BelvedereError, match="'m' has 2 layers, 0 to 1"):
        small.view("second_order_effects", layer=2)
    with pytest.raises(belvedere.BelvedereError, match="second_order_effects needs layer="):
        small.view("second_order_effects")
    wrongs: list[dict[str, Any]] = [{"k": 0}, {"k": 101}, {"m": 0}]
    for name, wrong in zip(TABLES, wrongs, strict=True):
        with pytest.raises(belvedere.BelvedereError, match=r"from 1|at least 1"):
            small.view(name, **wrong)


def test_a_plan_says_what_the_directions_take(small: belvedere.Store) -> None:
    small.add_images("other", add_pictures(small.path.parent / "other", range(100, 118)))
    plan = small.view("second_order_directions", images="other").plan()
    assert plan.by_view() == {
        "second_order_effects": 2,
        "second_order_top_images": 1,
        "second_order_directions": 1,
    }
    assert plan.images == 18
