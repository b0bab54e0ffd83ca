"""SQL that computes what it lacks: as little as the statement can touch, and within a budget."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import belvedere
from belvedere import Store
from belvedere.query.completeness import Touched
from belvedere.store.errors import MissingUnits, OverBudget
from tests.worlds import World, engine

GELU = "visual.transformer.resblocks.1.mlp.gelu"
HEADS = "head_contributions"


def f32(values: Any) -> Any:
    """Make an array of numbers that SQL gave."""
    return np.array(values, np.float32)


def computed(seen: belvedere.Trace) -> dict[str, int]:
    """Count the units of each view that were computed."""
    names = [detail.split("/")[0] for detail in seen.of("compute")]
    return {name: names.count(name) for name in sorted(set(names))}


def test_asking_to_fill_plans_descriptions_moments_and_contributions_together(store: Store) -> None:
    query = "SELECT head, rank, description FROM head_descriptions WHERE layer = 1 AND rank < 3 ORDER BY ALL"
    with belvedere.trace() as seen:
        answer = store.sql(query, fill=True)
    assert answer.completeness.complete
    assert answer.completeness.views == {"head_descriptions": Touched(1, 1, (), 1)}
    assert computed(seen) == {
        "head_contributions": 2,
        "head_descriptions": 1,
        "head_moments": 1,
        "text_embeddings": 1,
        "tower_maps": 1,
    }
    assert len(answer) == 6
    with belvedere.trace() as again:
        assert store.sql(query, fill=True).fetchall() == answer.fetchall()
    assert (again.of("compute"), again.of("load")) == ([], [])
    assert store.sql(query).fetchall() == answer.fetchall()


def test_rows_of_an_array_are_its_vectors(store: Store) -> None:
    answer = store.sql("FROM head_contributions WHERE image_id IN (3, 299) ORDER BY ALL", fill=True)
    assert answer.columns == ["model", "image_set", "image_id", "layer", "head", "vector"]
    heads = store.view(HEADS)[:]
    rows = answer.fetchall()
    assert [row[:5] for row in rows] == [
        ("m", "photos", image, layer, head) for image in (3, 299) for layer in (0, 1) for head in (0, 1)
    ]
    for _, _, image, layer, head, vector in rows:
        assert np.array_equal(f32(vector), heads[image, layer, head])


def test_a_filter_leaves_out_the_units_that_it_rules_out(store: Store) -> None:
    with belvedere.trace() as seen:
        answer = store.sql("SELECT layer, vector FROM head_contributions WHERE image_id = 260", fill=True)
    assert (len(answer), answer.completeness.views[HEADS]) == (4, Touched(1, 1, (), 1))
    assert computed(seen) == {"head_contributions": 1, "tower_maps": 1}


def test_a_limit_stops_computing(store: Store) -> None:
    with belvedere.trace() as seen:
        answer = store.sql("SELECT image_id FROM head_contributions LIMIT 5", fill=True)
    assert [row[0] for row in answer.fetchall()] == [0, 0, 0, 0, 1]
    assert answer.completeness.complete
    assert computed(seen)["head_contributions"] == 1


def test_what_sorts_first_sees_everything(store: Store) -> None:
    answer = store.sql("SELECT image_id FROM head_contributions ORDER BY 1 DESC LIMIT 1", fill=True)
    assert (answer.fetchall(), answer.completeness.views[HEADS].filled) == ([(299,)], 2)


def test_coordinates_alone_read_no_array(filled: Store) -> None:
    with belvedere.trace() as seen:
        query = "SELECT count(*), max(image_id) FROM head_contributions WHERE layer = 1"
        assert filled.sql(query).fetchall() == [(600, 299)]
    assert not [path for path in seen.of("read") if path.startswith("data/")]


@pytest.mark.parametrize(
    ("view", "columns", "count"),
    [
        ("image_embeddings", ["model", "image_set", "image_id", "vector"], 300),
        ("text_embeddings", ["model", "text_set", "text_id", "vector"], 12),
        ("mlp_contributions", ["model", "image_set", "image_id", "layer", "vector"], 600),
        ("residual_contributions", ["model", "image_set", "image_id", "term", "vector"], 300 * 11),
    ],
)
def test_every_array_with_a_vector_is_visible(kept: Store, view: str, columns: list[str], count: int) -> None:
    answer = kept.sql(f"FROM {view} ORDER BY ALL")
    assert (answer.columns, answer.completeness.complete) == (columns, True)
    rows = answer.arrow()
    whole = kept.view(view)[:]
    assert len(rows) == int(np.prod(whole.shape[:-1]))
    if view != "residual_contributions":  # its terms sort by name
        assert np.array_equal(f32(rows["vector"].to_pylist()), whole.reshape(len(rows), -1))


def test_terms_are_filtered_by_name(kept: Store) -> None:
    rest = kept.view("residual_contributions")
    rows = kept.sql(
        "SELECT image_id, vector FROM residual_contributions WHERE term = 'attn_bias[1]' ORDER BY image_id"
    ).fetchall()
    place = rest.coords["term"].index("attn_bias[1]")
    assert np.array_equal(f32([vector for _, vector in rows]), rest[:, place])


def test_token_contributions_of_one_image_compute_one_small_unit(store: Store) -> None:
    with belvedere.trace() as seen:
        found = store.sql(
            "SELECT token, vector FROM token_contributions WHERE image_id = 9 AND layer = 1 AND head = 0 "
            "ORDER BY token",
            fill=True,
        ).fetchall()
    assert computed(seen)["token_contributions"] == 1
    assert np.array_equal(f32([v for _, v in found]), store.view("token_contributions")[9, 1, 0])


def test_activations_are_cells(store: Store) -> None:
    answer = store.sql(
        "FROM neuron_activations WHERE module = ? AND neuron IN (3, 40) AND image_id >= 298 ORDER BY ALL",
        [GELU],
        fill=True,
    )
    values = store.view("neuron_activations", module=GELU)[:]
    assert answer.columns == ["model", "image_set", "module", "neuron", "image_id", "activation"]
    assert answer.fetchall() == [
        ("m", "photos", GELU, neuron, image, values[image, neuron].item())
        for neuron in (3, 40)
        for image in (298, 299)
    ]


def test_images_that_could_not_be_read_have_no_rows(world: World, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(4):
        (folder / f"{number}.png").write_bytes((world.photos / f"{number:05}.png").read_bytes())
    (folder / "2.png").write_bytes(b"no picture")
    store = belvedere.open(tmp_path / "store")
    store.add_model("m", world.source)
    store.add_images("photos", folder)
    found = store.sql("SELECT DISTINCT image_id FROM head_contributions ORDER BY 1", fill=True)
    assert (found.fetchall(), found.completeness.complete) == ([(0,), (1,), (3,)], True)


def test_torch_runs_on_the_thread_that_asked(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = []
    fill = type(engine(store)).fill

    def noted(self: Any, *given: Any, **more: Any) -> Any:
        threads.append(threading.current_thread())
        return fill(self, *given, **more)

    monkeypatch.setattr(type(engine(store)), "fill", noted)
    store.sql("SELECT count(vector) FROM image_embeddings WHERE vector[1] > 0", fill=True)
    assert threads == [threading.main_thread()]


def test_an_interrupt_ends_the_statement_and_keeps_what_is_there(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill = type(engine(store)).fill

    def interrupted(self: Any, units: Any, *given: Any, **more: Any) -> Any:
        fill(self, units[:1], *given, **more)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(type(engine(store)), "fill", interrupted)
        with pytest.raises(KeyboardInterrupt):
            store.sql("SELECT count(vector) FROM image_embeddings", fill=True)
    assert store.view("image_embeddings").status().ready == 1
    assert store.sql("SELECT count(vector) FROM image_embeddings", fill=True).fetchall() == [(300,)]


def test_a_unit_that_fails_leaves_the_answer_incomplete(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from belvedere.compute.views.head_descriptions import HeadDescriptions

    def broken(self: Any, unit: Any, parts: Any) -> Any:
        raise ArithmeticError("no")

    monkeypatch.setattr(HeadDescriptions, "derive", broken)
    answer = store.sql("FROM head_descriptions", fill=True)
    assert answer.completeness.views["head_descriptions"] == Touched(2, 0, ("m × photos × words",), 0)
    with pytest.raises(MissingUnits, match="head_descriptions lacks 2 of 2 units"):
        store.sql("FROM head_descriptions", fill=True, require_complete=True)


def test_a_damaged_unit_is_computed_again_and_its_rows_are_right(filled: Store) -> None:
    query = "SELECT layer, head, rank, variance FROM head_descriptions ORDER BY ALL"
    before = filled.sql(query).fetchall()
    part = next((filled.path / "data" / "head_descriptions").rglob("part.parquet"))
    part.write_bytes(part.read_bytes()[:-9] + b"\0" * 9)
    fresh = belvedere.open(filled.path)
    answer = fresh.sql(query, fill=True)
    assert (answer.fetchall(), answer.completeness.complete) == (before, True)


def test_a_read_only_store_fills_nothing(world: World, tmp_path: Path) -> None:
    path = world.store(tmp_path / "store").path
    with pytest.raises(MissingUnits, match='mode="r"'):
        belvedere.open(path, mode="r").sql("FROM head_descriptions", fill=True)


def test_a_name_that_there_is_not_is_no_empty_answer(kept: Store) -> None:
    answer = kept.sql("FROM head_descriptions WHERE image_set = 'fotos'")
    assert not answer.completeness.complete
    assert "there is nothing with image_set='fotos'; did you mean 'photos'?" in str(answer.completeness)
    assert kept.sql("FROM head_descriptions WHERE layer = 99").completeness.complete


class TestBudget:
    def test_too_many_units_are_refused_before_anything_is_computed(self, store: Store) -> None:
        with (
            belvedere.trace() as seen,
            pytest.raises(
                OverBudget,
                match=r"would compute 3 units \(1 of tower_maps, 2 of head_contributions\), 300 images "
                r"through the model, .* MB of arrays: more than max_units=2 allows; nothing of this was "
                r"computed; it "
                r"takes less with image_id BETWEEN 0 AND 255 \(2 units\); or allow more "
                r"\(max_units=…, --max-units\)",
            ) as refused,
        ):
            store.sql("SELECT avg(vector[1]) FROM head_contributions", fill=True, max_units=2)
        assert (refused.value.units, seen.of("compute")) == (3, [])

    def test_too_many_bytes_are_refused(self, store: Store) -> None:
        with pytest.raises(OverBudget, match="max_bytes=1,000 allows"):
            store.sql("FROM image_embeddings", fill=True, max_bytes=1000)

    def test_too_many_seconds_are_refused_where_they_can_be_told(self, store: Store) -> None:
        store.sql("FROM image_embeddings WHERE image_id < 10", fill=True, max_seconds=0)
        with pytest.raises(OverBudget, match=r"about \d+ s: more than max_seconds=0 allows"):
            store.sql("FROM image_embeddings", fill=True, max_seconds=0)

    def test_where_no_filter_helps_a_smaller_set_is_named(self, store: Store) -> None:
        with pytest.raises(OverBudget, match="made from all images of 'photos'; a set of some of them does"):
            store.sql("FROM head_descriptions WHERE layer = 1", fill=True, max_units=3)

    def test_what_a_limit_has_not_reached_does_not_count(self, store: Store) -> None:
        answer = store.sql("SELECT image_id FROM image_embeddings LIMIT 1", fill=True, max_units=1)
        assert answer.fetchall() == [(0,)]
        with pytest.raises(OverBudget, match=r"\(2 units that it computed before are kept\)"):
            store.sql("SELECT image_id FROM mlp_contributions LIMIT 1000", fill=True, max_units=2)
