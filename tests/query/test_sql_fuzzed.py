"""Random statements over a real store against the same rows in native tables: ready, missing, filled."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

import belvedere
from belvedere import Store
from tests import sql_world
from tests.comparing import compare, seeds
from tests.sql_world import Twin, hide, restore, twin
from tests.statements import Generator
from tests.worlds import engine

pytestmark = pytest.mark.filterwarnings("ignore::belvedere.query.sql.answer.IncompleteAnswer")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store in which everything is computed; not to be written to."""
    return sql_world.make(tmp_path_factory.mktemp("fuzzed"))


@pytest.fixture(scope="module")
def shared(world: Path) -> Iterator[tuple[Store, Twin]]:
    """The store, open in memory, with the native tables."""
    with belvedere.open(world, mode="r", memory=True) as found, twin(found) as native:
        yield found, native


@pytest.fixture
def both(shared: tuple[Store, Twin]) -> tuple[Store, Twin]:
    """These with all units there."""
    restore(shared[0])
    return shared


@pytest.mark.parametrize("seed", seeds(4))
def test_what_is_ready_is_answered_as_native_tables_answer_it(both: tuple[Store, Twin], seed: int) -> None:
    generator = Generator(seed)
    found = [(asked, compare(*both, asked)) for asked in (generator.statement() for _ in range(35))]
    assert [(each.why, asked) for asked, each in found if each.outcome == "different"] == []
    assert len([each for _, each in found if each.outcome == "equal" and each.rows]) > 10


def test_an_answer_that_calls_itself_complete_is_that_of_native_tables(both: tuple[Store, Twin]) -> None:
    store, native = both
    generator, dice, outcomes = Generator(10), random.Random(10), list[str]()
    units = [str(path.relative_to(store.path)) for path in (store.path / "units").rglob("*.json")]
    for _ in range(40):
        asked = generator.statement()
        hide(store, dice.choice((0.02, 0.2)), dice, units)
        found = compare(store, native, asked)
        assert found.outcome != "different", (found.why, asked)
        outcomes.append(found.outcome)
    assert (outcomes.count("equal") > 6, outcomes.count("incomplete") > 6) == (True, True)


def test_what_is_missing_is_filled_and_no_more_than_was_told(both: tuple[Store, Twin]) -> None:
    store, native = both
    generator, dice, computed = Generator(20), random.Random(20), 0
    units = [str(path.relative_to(store.path)) for path in (store.path / "units").rglob("*.json")]
    for _ in range(20):
        asked = generator.statement()
        hide(store, 0.1, dice, units)
        most = store.plan(asked.query, asked.params).most.units
        with belvedere.trace() as seen:
            found = compare(store, native, asked, fill=True)
        assert found.outcome != "different", (found.why, asked)
        assert len(seen.of("compute")) <= most, asked
        computed += len(seen.of("compute"))
    assert computed > 10


class TestWhatSqlShows:
    """Of this world: models of different widths, an image that cannot be read, another precision."""

    def test_describe_names_the_columns_of_an_array_and_reads_nothing(self, both: tuple[Store, Twin]) -> None:
        with belvedere.trace() as seen:
            found = both[0].sql("DESCRIBE head_contributions").fetchall()
        assert [row[:2] for row in found] == [
            ("model", "VARCHAR"),
            ("image_set", "VARCHAR"),
            ("image_id", "BIGINT"),
            ("layer", "INTEGER"),
            ("head", "INTEGER"),
            ("vector", "FLOAT[]"),
        ]
        assert not [path for path in seen.of("read") if path.startswith("data/")]

    def test_summarize_counts_the_cells_of_an_array(self, both: tuple[Store, Twin]) -> None:
        found = both[0].sql("SELECT column_name, min, max, count FROM (SUMMARIZE neuron_activations)")
        rows = {row[0]: row[1:] for row in found.fetchall()}
        assert rows["neuron"] == ("0", "63", 630 * 64)
        assert rows["model"] == ("m", "n", 630 * 64)

    def test_vectors_of_models_of_different_widths_stand_in_one_table(self, both: tuple[Store, Twin]) -> None:
        query = "SELECT model, len(vector) AS width, count(*) FROM image_embeddings GROUP BY ALL ORDER BY 1"
        assert both[0].sql(query).fetchall() == [("m", 12, 315), ("n", 8, 315)]

    def test_an_image_that_cannot_be_read_has_no_row_in_any_array(self, both: tuple[Store, Twin]) -> None:
        for view in ("image_embeddings", "token_contributions", "neuron_activations"):
            where = "image_set = 'pets' AND image_id BETWEEN 2 AND 4"
            found = both[0].sql(f"SELECT DISTINCT image_id FROM {view} WHERE {where} ORDER BY 1")
            assert (found.fetchall(), found.completeness.complete) == ([(2,), (4,)], True)

    def test_negative_ranks_are_filtered_like_others(self, both: tuple[Store, Twin]) -> None:
        query = (
            "SELECT count(*), min(rank), max(rank) FROM head_top_images WHERE rank < -2 AND layer = 1 "
            "AND image_set = 'photos' AND model = 'm'"
        )
        assert both[0].sql(query).fetchall() == both[1].con.execute(query).fetchall()
        assert both[0].sql(query).fetchall()[0][1:] == (-10, -3)

    def test_another_precision_stands_beside_the_first(self, both: tuple[Store, Twin]) -> None:
        query = (
            "SELECT count(*), max(1 - list_cosine_similarity(h.vector, c.vector)) < 1e-3 FROM "
            "half_contributions h JOIN head_contributions c USING (model, image_set, image_id, layer, head)"
        )
        assert both[0].sql(query).fetchall() == [(1184, True)]

    def test_a_declared_table_is_filtered(self, both: tuple[Store, Twin]) -> None:
        store, native = both
        query = "SELECT image_id FROM dogs WHERE image_set = 'photos' AND image_id < 30 ORDER BY 1"
        assert store.sql(query).fetchall() == native.con.execute(query).fetchall()
        assert len(store.view("dogs").where("image_id < 30").arrow()) == len(
            native.rows("FROM dogs WHERE image_id < 30")
        )

    def test_nothing_of_this_was_written(self, both: tuple[Store, Twin], world: Path) -> None:
        assert engine(both[0]).folder.in_memory
        assert not (world / "damaged").exists()
