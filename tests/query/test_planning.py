"""Plans: what would run, in which order, together with what, and nothing more."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from pathlib import Path

import numpy as np

import belvedere
from belvedere.compute.running.report import Progress
from belvedere.query.engine import Engine
from belvedere.query.lazy.array import LazyArray
from belvedere.query.plan import plan
from belvedere.query.store import Store
from belvedere.store.views import Unit, View
from tests.small_views import Letters, LetterSums, small_engine, text_set
from tests.worlds import World, engine, records

TEXTS = text_set([letter * n for n in range(1, 6) for letter in "abc"])  # 15 texts: 4 blocks, 2 sums
SUMS = LetterSums(Letters(TEXTS))


def done(*units: Unit) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for unit in units:
        found.setdefault(unit.view.recipe_key, set()).add(unit.key)
    return found


def planned(wanted: Collection[Unit], *ready: Unit) -> list[str]:
    """Name the units of a plan's steps in order, `view:index`."""
    there = done(*ready)

    def ask(view: View) -> set[str]:
        return there.get(view.recipe_key, set())

    found = plan(wanted, ask)
    return [f"{unit.view.name()}:{unit.index}" for step in found.steps for unit in step.units]


def test_what_a_unit_is_made_from_comes_before_it() -> None:
    assert planned(SUMS.units) == [
        "letters:0",
        "letters:1",
        "letter_sums:0",
        "letters:2",
        "letters:3",
        "letter_sums:1",
    ]


def test_only_what_is_missing_beneath_a_missing_unit_is_planned() -> None:
    blocks = SUMS.letters.units
    assert planned(SUMS.units, SUMS.units[0], blocks[3]) == ["letters:2", "letter_sums:1"]
    assert planned(SUMS.units[:1], blocks[1]) == ["letters:0", "letter_sums:0"]
    assert planned(SUMS.units, *blocks) == ["letter_sums:0", "letter_sums:1"]


def test_a_ready_unit_ends_the_search_though_its_inputs_are_gone() -> None:
    assert planned(SUMS.units, *SUMS.units) == []


def test_a_plan_asks_what_is_done_and_touches_nothing_else() -> None:
    asked: list[str] = []

    def ask(view: View) -> set[str]:
        asked.append(view.name())
        return set()

    found = plan([*SUMS.units, *SUMS.units], ask)
    assert (found.wanted, found.units, found.reused, found.images, found.passes) == (4, 6, 0, 0, 0)
    assert found.by_view() == {"letters": 4, "letter_sums": 2}
    assert set(asked) == {"letters", "letter_sums"}


def test_views_of_the_same_images_share_one_pass(store: Store) -> None:
    views = ["image_embeddings", "head_contributions", "mlp_contributions", "residual_contributions"]
    units = [unit for name in views for unit in store.view(name)._units()]
    found = engine(store).plan(units)
    assert (found.passes, found.images, found.units) == (2, 300, 9)
    with belvedere.trace() as seen:
        assert engine(store).fill(units).filled == 9
    assert seen.of("load") == ["m"]
    runs = store.sql("SELECT steps, filled FROM runs").fetchall()
    assert runs == [(3, 9)]


def test_views_of_two_models_do_not_share_a_pass(store: Store, world: World) -> None:
    store.add_model("half", world.source, precision="bfloat16")
    units = [unit for model in ("m", "half") for unit in store.view("image_embeddings", model=model)._units()]
    assert engine(store).plan(units).passes == 4


def test_two_image_sets_of_the_same_pictures_share_their_units(filled: Store, world: World) -> None:
    filled.add_images("again", sorted(world.photos.iterdir()))
    view = filled.view("head_descriptions", images="again")
    with belvedere.trace() as seen:
        assert (view.status().ready, view.fill().filled) == (2, 0)
    assert seen.of("compute") == []
    rows = filled.sql("SELECT DISTINCT image_set FROM head_descriptions ORDER BY ALL").fetchall()
    assert rows == [("again",), ("photos",)]


def test_a_set_in_which_blocks_are_alike_keeps_them_once_and_counts_them_twice(
    store: Store, world: World, tmp_path: Path
) -> None:
    files = sorted(world.photos.iterdir())[:256]
    copies = shutil.copytree(world.photos, tmp_path / "copies")
    store.add_images("twice", [*files, *[copies / each.name for each in files]])
    assert store.view("head_moments", images="twice").fill().filled == 2  # one block, and the moments
    assert store.view("head_moments", images="twice")[0, 0, 0, 0] == 512.0
    found = store.view("head_contributions", images="twice")[:]
    np.testing.assert_array_equal(found[:256], found[256:])


def test_moments_stay_ready_when_the_contributions_are_gone(filled: Store) -> None:
    before = filled.view("head_moments")[:]
    for path in records(filled):
        if "/head_contributions/" in path:
            (filled.path / path).unlink()
    fresh = belvedere.open(filled.path)
    assert fresh.view("head_contributions").status().missing == 2
    with belvedere.trace() as seen:
        np.testing.assert_array_equal(fresh.view("head_moments")[:], before)
        assert len(fresh.view("head_descriptions").df()) > 0
    assert seen.of("compute") == []


def test_a_report_counts_each_unit_once(store: Store) -> None:
    first = store.view("head_descriptions").fill()
    assert first == type(first)(filled=7)  # 2 blocks, maps, moments, texts, 2 layers
    assert store.view("head_descriptions").fill() == type(first)(reused=2)
    store.add_texts("more", ["a dog", "a hat"])
    second = store.view("head_descriptions", texts="more").fill()
    assert second == type(first)(filled=3)


def test_a_plan_tells_what_it_would_take(filled: Store) -> None:
    filled.add_texts("more", ["a dog", "a hat"])
    found = filled.view("head_descriptions", texts="more").plan()
    assert found.by_view() == {"text_embeddings": 1, "head_descriptions": 2}
    assert found.seconds is not None
    assert str(found).splitlines()[0] == "0 of 2 units are ready; to compute:"
    assert str(filled.view("head_descriptions", texts="words").plan()) == (
        "nothing to compute: all 2 units are ready"
    )


def test_a_part_can_be_filled_without_reading_it(store: Store) -> None:
    view = store.view("head_contributions")
    assert view.fill(slice(256, None)).filled == 2  # a block, and the tower's maps
    assert repr(view) == "<View head_contributions[m × photos] 1 of 2 units ready>"
    assert view.fill([0, 299]).filled == 1


def test_only_the_layers_that_a_condition_leaves_are_computed(store: Store) -> None:
    last = store.view("head_descriptions").where("layer = 1 AND rank < 2")
    assert last.plan().by_view()["head_descriptions"] == 1
    rows = last.fetchall()
    assert {(row[3], row[5] < 2) for row in rows} == {(1, True)}
    status = store.view("head_descriptions").status()
    assert (status.ready, status.missing) == (1, 1)


def test_a_fill_in_small_batches_gives_the_same_numbers(filled: Store, store: Store) -> None:
    store.view("head_contributions").fill(batch_size=7, workers=3)
    found, expected = store.view("head_contributions")[:], filled.view("head_contributions")[:]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_progress_is_told_of_every_image(store: Store) -> None:
    class Counted(Progress):
        def __init__(self) -> None:
            self.told: list[tuple[str, int]] = []

        def begin(self, total: int, what: str) -> None:
            self.told.append((what, total))

        def advance(self, count: int) -> None:
            self.told.append(("advance", count))

        def end(self) -> None:
            self.told.append(("end", 0))

    seen = Counted()
    store.view("head_contributions").fill(progress=seen, batch_size=128)
    (what, total), *rest, last = seen.told
    assert (what, total, last) == ("tower_maps, head_contributions", 301, ("end", 0))
    assert sum(count for _, count in rest) == 301


def test_a_run_is_noted(filled: Store) -> None:
    rows = filled.sql("SELECT filled, reused, failed, skipped, absent FROM runs").fetchall()
    assert sorted(rows) == [(2, 0, 0, 0, 0), (2, 0, 0, 0, 0), (3, 0, 0, 0, 0), (6, 0, 0, 0, 0)]


def test_a_block_is_counted_once_however_often_it_is_read(tmp_path: Path) -> None:
    small: Engine = small_engine(tmp_path)
    Letters.calls.clear()
    view = LazyArray(small, Letters(TEXTS))
    for _ in range(3):
        view[5:7]
        view[:]
    assert Letters.calls == [1, 0, 2, 3]
