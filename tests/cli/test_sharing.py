"""publish and pull in a shell: what they say, and their exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb

import belvedere
from belvedere.compute.views import all_views
from belvedere.query.sql import catalog
from belvedere.store.views import TableView
from tests.query.test_damage import damage
from tests.shell import Run
from tests.worlds import records

TABLES = 1 + len(catalog.COLUMNS) + sum(issubclass(view, TableView) for view in all_views().values())
"""Tables of a published catalog: completeness, the catalog's own, and one for each view that is a table."""


def asked(path: Path, query: str) -> list[tuple[object, ...]]:
    with duckdb.connect(path / "catalog.duckdb", read_only=True) as con:
        return con.execute(query).fetchall()


def test_a_catalog_is_published_and_then_renewed_by_fill(bare: Path, run: Run) -> None:
    assert run("fill", "text_embeddings", "--store", bare).exit_code == 0
    assert not (bare / "catalog.duckdb").exists()
    first = run("publish", "--store", bare)
    assert first.stdout.startswith(f"catalog.duckdb: {TABLES} tables, ")
    assert run("publish", "--store", bare).stdout.endswith("; nothing has changed since it was published\n")
    assert asked(bare, "SELECT count(*) FROM head_descriptions") == [(0,)]
    assert run("fill", "head_descriptions", "--store", bare).exit_code == 0
    assert asked(bare, "SELECT count(DISTINCT (layer, head)) FROM head_descriptions") == [(16,)]


def test_a_fill_goes_well_where_the_catalog_cannot_be_renewed(bare: Path, run: Run) -> None:
    run("publish", "--store", bare)
    (bare / "published").rename(bare / "elsewhere")
    (bare / "published").write_text("a file where a folder should be")
    done = run("fill", "text_embeddings", "--store", bare)
    assert (done.exit_code, done.stdout) == (
        0,
        "text_embeddings: 1 filled, 0 reused, 0 failed, 0 skipped units\n",
    )
    assert "catalog.duckdb is as it was, for it could not be renewed: " in done.stderr


def test_a_combination_that_is_not_complete_is_named_on_stderr(bare: Path, run: Run) -> None:
    run("fill", "head_descriptions", "--where", "layer = 0", "--store", bare)
    done = run("publish", "--json", "--store", bare)
    assert json.loads(done.stdout)["left_out"] == ["head_descriptions[clip × scenes × pool]"]
    assert "not complete, and so left out: head_descriptions[clip × scenes × pool]" in done.stderr


def test_a_bundle_has_the_arrays_that_are_named(spare: Path, tmp_path: Path, run: Run) -> None:
    words = ("--array", "head_contributions", "--array", "head_moments", "--thumbnails", 4, "--store", spare)
    done = run("publish", tmp_path / "out", *words)
    assert done.stdout.startswith(f"out: {TABLES + 2} tables, ")
    assert "2 arrays, 4 thumbnails, " in done.stdout
    arrays = sorted(path.name for path in (tmp_path / "out" / "arrays").iterdir())
    assert arrays == ["head_contributions.zarr", "head_moments.zarr"]
    again = run("publish", tmp_path / "out", "--store", spare)
    assert (again.exit_code, "is there already" in again.stderr) == (2, True)
    bare = run("publish", tmp_path / "out", "--no-thumbnails", "--overwrite", "--json", "--store", spare)
    assert (json.loads(bare.stdout)["thumbnails"], bare.exit_code) == (0, 0)


def test_words_that_do_not_go_together_are_refused(spare: Path, tmp_path: Path, run: Run) -> None:
    def said(*words: object) -> str:
        done = run(*words, "--store", spare)
        assert done.exit_code == 2
        return done.stderr

    assert "go into a folder; name one" in said("publish", "--array", "head_contributions")
    assert "give one of the two" in said("publish", tmp_path / "x", "--thumbnails", 1, "--no-thumbnails")
    assert "name one with --array VIEW" in said("publish", tmp_path / "x", "--model", "clip")
    assert "name one after OTHER" in said("pull", tmp_path, "--model", "clip")
    assert "holds no Belvedere store" in said("pull", tmp_path)


def test_pull_says_what_it_takes_and_what_is_here(whole: Path, tmp_path: Path, run: Run) -> None:
    mine = belvedere.open(tmp_path / "mine").path
    count = len(records(whole))
    planned = run("pull", whole, "--dry-run", "--store", mine)
    assert planned.stdout.startswith("names would be pulled: model clip, images scenes, texts pool\n")
    done = run("pull", whole, "--store", mine)
    assert f"{count} units pulled, " in done.stdout
    assert done.exit_code == 0
    again = run("pull", whole, "--json", "--store", mine)
    told = {"units": 0, "bytes": 0, "reused": count, "lacking": 0, "names": [], "left": [], "damaged": []}
    assert json.loads(again.stdout) == told
    sql = run("sql", "SELECT count(*) AS heads FROM head_roles", "--csv", "--store", mine)
    assert (sql.exit_code, sql.stdout) == (0, "heads\n16\n")


def test_a_pull_renews_the_catalog(whole: Path, bare: Path, run: Run) -> None:
    run("publish", "--store", bare)
    assert run("pull", whole, "head_roles", "--store", bare).exit_code == 0
    assert asked(bare, "SELECT count(*) FROM head_roles") == [(16,)]


def test_damage_in_the_other_store_ends_with_exit_code_3(spare: Path, tmp_path: Path, run: Run) -> None:
    record = next(record for path, record in records(spare).items() if "/head_roles/" in path)
    damage(spare / record.attempt / "part.parquet")
    mine = belvedere.open(tmp_path / "mine").path
    done = run("pull", spare, "--store", mine)
    assert done.exit_code == 3
    assert f"damaged there, and not taken: {record.attempt}/part.parquet: its bytes changed" in done.stderr


def test_a_view_that_neither_store_has_whole_ends_with_exit_code_1(whole: Path, bare: Path, run: Run) -> None:
    done = run("pull", whole, "image_embeddings", "--store", bare)
    assert (done.exit_code, done.stdout) == (1, "0 units pulled, 0 B; 0 were here already\n")
    assert "1 units are in neither store; belvedere fill computes them" in done.stderr
