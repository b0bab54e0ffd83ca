"""What a statement would compute, told without computing it."""

from __future__ import annotations

import json
from typing import Any

import pytest

import belvedere
from belvedere import Store
from belvedere.store.errors import QueryError, UnknownName
from tests.shell import Run

NESTED = "SELECT description FROM head_descriptions WHERE layer = 1"


def units(row: dict[str, Any]) -> tuple[str, int, int]:
    return row["view"], row["units"], row["units_at_most"]


def test_a_statement_over_one_table_is_told_exactly_and_nothing_runs(store: Store) -> None:
    with belvedere.trace() as seen:
        found = store.plan(NESTED)
    assert (seen.of("compute"), seen.of("load"), seen.of("write")) == ([], [], [])
    assert found.exact
    assert sorted(map(units, found.rows())) == [
        ("all", 6, 6),
        ("head_contributions", 2, 2),
        ("head_descriptions", 1, 1),
        ("head_moments", 1, 1),
        ("text_embeddings", 1, 1),
        ("tower_maps", 1, 1),
    ]
    total = found.rows()[-1]
    assert (total["passes"], total["images"], total["seconds"]) == (2, 300, None)
    with belvedere.trace() as seen:
        store.sql(NESTED, fill=True)
    assert len(seen.of("compute")) == found.most.units


def test_the_bytes_told_are_those_that_are_kept(store: Store) -> None:
    query = "FROM image_embeddings"
    told = store.plan(query).rows()[0]["bytes"]
    store.sql(query, fill=True)
    kept = sum(
        file.stat().st_size
        for file in (store.path / "data/image_embeddings").rglob("*")
        if file.is_file() and file.name != "zarr.json"
    )
    assert told == kept


def test_a_limit_computes_at_least_one_unit_and_at_most_all(store: Store) -> None:
    found = store.plan("SELECT image_id FROM image_embeddings LIMIT 3")
    assert (found.exact, list(map(units, found.rows()))) == (False, [("image_embeddings", 1, 2)])
    assert str(found).startswith("at least:\n  0 of 1 units are ready")


def test_what_is_there_is_no_work(filled: Store) -> None:
    found = filled.plan(NESTED)
    assert (found.rows(), str(found)) == ([], "nothing to compute: all 1 units are ready")


def test_where_one_table_chooses_what_is_asked_of_another_the_most_is_all_of_it(store: Store) -> None:
    query = (
        "SELECT vector FROM head_contributions c JOIN head_descriptions d USING (layer, head) "
        "WHERE d.rank = 0 AND c.image_id < 10 AND d.layer = 1"
    )
    found = store.plan(query)
    most = {row["view"]: row["units_at_most"] for row in found.rows()}
    assert (most["head_descriptions"], most["head_contributions"]) == (1, 2)  # 2 for the moments
    with belvedere.trace() as seen:
        store.sql(query, fill=True)
    assert found.least.units <= len(seen.of("compute")) <= found.most.units


def test_a_statement_fills_table_by_table_and_its_plan_counts_so(store: Store) -> None:
    query = (
        "SELECT h.vector, p.vector FROM head_contributions h JOIN patch_contributions p "
        "USING (model, image_set, image_id) WHERE image_id < 20"
    )
    found = store.plan(query)
    assert (found.most.passes, found.most.images) == (2, 256 + 24)
    with belvedere.trace() as seen:
        store.sql(query, fill=True)
    assert len(seen.of("compute")) == found.most.units
    assert not store.plan(query).most.steps


def test_parameters_narrow_as_literals_do(store: Store) -> None:
    found = store.plan("FROM image_embeddings WHERE image_id = $n", {"n": 7})
    assert list(map(units, found.rows())) == [("image_embeddings", 1, 1)]


def test_what_cannot_be_answered_cannot_be_planned(store: Store) -> None:
    with pytest.raises(UnknownName, match="no table 'head_role'; did you mean 'head_roles'"):
        store.plan("FROM head_role")
    with pytest.raises(QueryError, match="colour"):
        store.plan("SELECT colour FROM head_roles")


def test_the_command_prints_a_row_for_each_view(store: Store, run: Run) -> None:
    done = run("plan", "--sql", "SELECT image_id FROM image_embeddings LIMIT 3", "--store", str(store.path))
    assert done.stdout.splitlines()[0].split() == ["view", "units", "passes", "images", "bytes", "seconds"]
    assert "image_embeddings  1 to 2  1 to 2  256 to 300" in done.stdout
    told = run("plan", "--sql", NESTED, "--json", "--store", str(store.path))
    rows = json.loads(told.stdout)
    assert {row["view"] for row in rows} >= {"head_moments", "all"}
    assert {row["work"] for row in rows} == {None}
    both = run("plan", "head_roles", "--sql", NESTED, "--store", str(store.path))
    assert (both.exit_code, "name a VIEW, or a statement with --sql" in both.stderr) == (2, True)
