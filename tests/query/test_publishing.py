"""Published catalogs: what they hold, what they leave out, and how cheaply they are renewed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

import belvedere
from belvedere.compute.views import all_views
from belvedere.query.exchange import frozen, published
from belvedere.query.exchange.published import CATALOG, Publication
from belvedere.query.sql import catalog
from belvedere.store.errors import ReadOnlyStore
from belvedere.store.grid import Grid
from belvedere.store.views import TableView
from tests.crew import forked
from tests.query.test_damage import damage
from tests.readme import ROOT
from tests.small_views import Numbers, text_set
from tests.worlds import World, add_pictures, records

MODULE = "visual.transformer.resblocks.1.mlp.gelu"
TABLES = {
    *("completeness", *catalog.COLUMNS),
    *(name for name, view in all_views().items() if issubclass(view, TableView)),
}


def asked(path: Path, query: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(path / CATALOG if path.is_dir() else path, read_only=True) as con:
        return con.execute(query).fetchall()


def digests(store: belvedere.Store) -> set[str]:
    return {path.stem for path in (store.path / "published").iterdir()}


def now(store: belvedere.Store) -> str:
    return published.digest_of(store.path / CATALOG)


def test_tables_have_the_rows_and_columns_that_the_store_shows(filled: belvedere.Store) -> None:
    filled.view("top_images", module=MODULE).fill()
    found = filled.publish()
    assert set(found.tables) == TABLES
    assert (found.left_out, found.bytes) == ((), (filled.path / CATALOG).stat().st_size)
    with duckdb.connect(filled.path / CATALOG, read_only=True) as con:
        for name in sorted(TABLES - {"completeness"}):
            shown = filled.sql(f"FROM {name}")._rows.arrow()
            here = con.sql(f"FROM {name}").to_arrow_table()
            assert here.schema.names == shown.schema.names
            assert filled.sql(f"DESCRIBE {name}").fetchall() == con.sql(f"DESCRIBE {name}").fetchall()
            assert here.cast(shown.schema).equals(shown), name
            assert found.tables[name] == len(shown)


def test_rows_stand_in_the_order_of_their_axes(filled: belvedere.Store) -> None:
    filled.view("top_images", module=MODULE).fill()
    filled.publish()
    rows = asked(filled.path, "SELECT module, neuron, rank FROM top_images")
    assert rows == sorted(rows)
    assert len(rows) == 64 * 20


def test_several_combinations_of_inputs_stand_in_one_table(filled: belvedere.Store) -> None:
    filled.add_texts("few", ["a dog", "a hat"])
    filled.add_images("copy", sql="SELECT * FROM images WHERE image_id < 300")
    filled.view("head_descriptions", images="photos", texts="few").fill()
    filled.view("head_descriptions", images="copy", texts="few").fill()
    filled.publish()
    query = "SELECT model, image_set, text_set, layer, head, rank, text_id, variance FROM head_descriptions"
    assert asked(filled.path, query) == sorted(filled.sql(query).fetchall())
    pairs = {(image_set, text_set) for _, image_set, text_set, *_ in asked(filled.path, query)}
    assert pairs == {("photos", "words"), ("photos", "few"), ("copy", "few")}


def test_nothing_partial_is_in_a_table(store: belvedere.Store) -> None:
    store.view("head_descriptions").where("layer = 0").fill()
    found = store.publish()
    assert found.tables["head_descriptions"] == 0
    assert found.left_out == ("head_descriptions[m × photos × words]",)
    query = "SELECT kind, needed, ready, published, time FROM completeness WHERE name = 'head_descriptions'"
    assert asked(store.path, query) == [("table", 2, 1, False, None)]
    store.view("head_descriptions").fill()
    assert store.publish().tables["head_descriptions"] > 0
    assert [row[:4] for row in asked(store.path, query)] == [("table", 2, 2, True)]


def test_what_became_stale_goes_away_at_the_next_publication(world: World, tmp_path: Path) -> None:
    photos = Path(shutil.copytree(world.photos, tmp_path / "photos"))
    store = World(world.clip, photos).store(tmp_path / "store")
    store.view("head_descriptions").fill()
    assert store.publish().tables["head_descriptions"] > 0
    add_pictures(photos, range(300, 310))
    store.add_images("photos", photos)
    assert store.publish().tables["head_descriptions"] == 0


def test_a_damaged_unit_is_left_out_and_not_published(filled: belvedere.Store) -> None:
    path, record = next(item for item in records(filled).items() if "head_descriptions" in item[0])
    damage(filled.path / record.attempt / "part.parquet")
    found = filled.publish()
    assert found.left_out == ("head_descriptions[m × photos × words]",)
    assert found.tables["head_descriptions"] == 0
    assert not (filled.path / path).exists()
    assert asked(filled.path, "SELECT count(*) FROM units WHERE view = 'head_descriptions'") == [(1,)]


def test_where_nothing_changed_nothing_is_written(filled: belvedere.Store) -> None:
    filled.publish()
    before = (filled.path / CATALOG).stat()
    with belvedere.trace() as seen:
        again = filled.publish()
    assert (again.made, seen.of("write"), seen.of("delete")) == ((), [], [])
    after = (filled.path / CATALOG).stat()  # it was read, which its time of access may show
    assert (after.st_ino, after.st_mtime_ns, after.st_size) == (
        before.st_ino,
        before.st_mtime_ns,
        before.st_size,
    )


def test_only_tables_that_changed_are_made_anew(filled: belvedere.Store) -> None:
    before = filled.publish()
    time = asked(filled.path, "SELECT time FROM completeness WHERE name = 'head_descriptions'")
    filled.add_texts("few", ["a dog", "a hat"])
    with belvedere.trace() as seen:
        found = filled.publish()
    assert found.made == ("text_sets", "texts")
    assert found.tables == {**before.tables, "text_sets": 2, "texts": before.tables["texts"] + 2}
    assert not [path for path in seen.of("read") if path.endswith(".parquet") and "head" in path]
    assert asked(filled.path, "SELECT time FROM completeness WHERE name = 'head_descriptions'") == time
    assert len(asked(filled.path, "FROM head_descriptions")) == before.tables["head_descriptions"]


def test_a_catalog_that_is_not_as_it_was_published_is_made_anew(filled: belvedere.Store) -> None:
    filled.publish()
    damage(filled.path / CATALOG)
    assert now(filled) not in digests(filled)
    assert set(filled.publish().made) == TABLES
    assert now(filled) in digests(filled)


def test_the_objects_of_two_publications_are_kept(filled: belvedere.Store) -> None:
    seen = []
    for name in ("a", "b", "c", "d"):
        filled.add_texts(name, [name])
        filled.publish()
        seen.append(now(filled))
    assert digests(filled) == set(seen[-2:])
    told = Publication.from_json((filled.path / "published" / f"{seen[-1]}.json").read_bytes())
    assert told.nbytes == (filled.path / CATALOG).stat().st_size
    assert set(told.tables) == TABLES


def test_no_other_file_is_left(filled: belvedere.Store) -> None:
    before = {path.name for path in filled.path.iterdir()}
    filled.publish()
    assert {path.name for path in filled.path.iterdir()} - before == {CATALOG, "published"}


def test_a_log_that_a_shell_left_does_not_outlive_its_file(filled: belvedere.Store) -> None:
    filled.publish()
    log = filled.path / f"{CATALOG}.wal"
    log.write_bytes(b"not of this file")
    filled.add_texts("few", ["a dog"])
    filled.publish()
    assert not log.exists()
    assert asked(filled.path, "SELECT count(*) FROM texts WHERE text_set = 'few'") == [(1,)]


def test_a_store_that_is_only_read_is_not_published(filled: belvedere.Store) -> None:
    shut = belvedere.open(filled.path, mode="r")
    with pytest.raises(ReadOnlyStore, match=r"catalog\.duckdb cannot be written in it; open it with mode"):
        shut.publish()
    assert not (filled.path / CATALOG).exists()
    assert shut.renew() is None


def test_renewing_makes_no_first_catalog_and_says_what_went_wrong(
    filled: belvedere.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert filled.renew() is None
    assert not (filled.path / CATALOG).exists()
    filled.publish()
    filled.add_texts("few", ["a dog"])
    assert filled.renew() is None
    assert asked(filled.path, "SELECT count(*) FROM texts WHERE text_set = 'few'") == [(1,)]
    (filled.path / "published").rename(filled.path / "elsewhere")
    (filled.path / "published").write_text("a file where a folder should be")
    said = filled.renew()
    assert said is not None
    assert said.startswith("catalog.duckdb is as it was, for it could not be renewed: ")


def test_a_shell_that_holds_the_catalog_stands_in_nobodys_way(filled: belvedere.Store) -> None:
    filled.publish()
    hold = (
        "import duckdb, sys; con = duckdb.connect(sys.argv[1]); print(flush=True); input();"
        "print(con.sql('SELECT count(*) FROM models').fetchall())"
    )
    words = [sys.executable, "-c", hold, str(filled.path / CATALOG)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as shell:
        assert shell.stdout is not None
        shell.stdout.readline()
        assert filled.publish().made == ()
        filled.add_texts("few", ["a dog"])
        assert set(filled.publish().made) >= {"texts", "text_sets"}
        assert shell.communicate("\n")[0] == "[(1,)]\n"
    assert asked(filled.path, "SELECT count(*) FROM texts WHERE text_set = 'few'") == [(1,)]


def test_a_reader_in_this_process_keeps_what_it_opened(filled: belvedere.Store) -> None:
    filled.publish()
    with duckdb.connect(filled.path / CATALOG, read_only=True) as con:
        filled.add_texts("few", ["a dog"])
        filled.publish()
        assert con.execute("SELECT count(*) FROM text_sets").fetchall() == [(1,)]
    assert asked(filled.path, "SELECT count(*) FROM text_sets") == [(2,)]


def _publish(path: Path, rounds: int) -> None:
    store = belvedere.open(path)
    for number in range(rounds):
        store.add_texts(f"of-{os.getpid()}-{number}", [str(number)])
        store.publish()


def test_two_publishers_at_once_leave_a_whole_catalog(filled: belvedere.Store) -> None:
    crew = [forked(_publish, filled.path, 5) for _ in range(2)]
    for each in crew:
        each.join(120)
    assert [each.exitcode for each in crew] == [0, 0]
    assert now(filled) in digests(filled)
    assert len(digests(filled)) <= 3
    assert asked(filled.path, "SELECT count(*) > 5 FROM text_sets") == [(True,)]
    assert not list(filled.path.glob("*.tmp*"))
    filled.publish()
    assert asked(filled.path, "SELECT count(*) FROM text_sets") == [(11,)]


OLD = ROOT / ".venv" / "duckdb-1"


@pytest.mark.skipif(not OLD.is_dir(), reason="make setup puts DuckDB 1.5 there")
def test_duckdb_1_opens_what_any_version_published(filled: belvedere.Store) -> None:
    filled.publish()
    code = (
        "import duckdb, sys; con = duckdb.connect(sys.argv[1], read_only=True);"
        "print(duckdb.__version__, con.sql('SELECT count(*) FROM images').fetchall())"
    )
    words = [sys.executable, "-c", code, str(filled.path / CATALOG)]
    done = subprocess.run(
        words, check=True, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(OLD)}
    )
    assert done.stdout == "1.5.5 [(300,)]\n"


def test_the_file_says_that_it_is_of_storage_version_1_5(filled: belvedere.Store) -> None:
    filled.publish()
    with duckdb.connect() as con:
        con.execute(f"ATTACH '{filled.path / CATALOG}' AS c (READ_ONLY)")
        found = con.execute("SELECT tags FROM duckdb_databases() WHERE database_name = 'c'").fetchall()
    assert "v1.5" in str(found)


def test_rows_of_a_unit_are_sorted_where_they_are_not_and_ties_keep_their_order() -> None:
    rows = pa.table({"layer": [1, 0, 1, 0], "rank": [0, 1, 0, 0], "word": ["a", "b", "c", "d"]})
    assert frozen.in_order(rows, ["layer", "rank"])["word"].to_pylist() == ["d", "b", "a", "c"]
    assert frozen.in_order(rows, []) is rows
    already = rows.take([3, 1, 0, 2])
    assert frozen.in_order(already, ["layer", "rank"]) is already
    empty = rows.slice(0, 0)
    assert frozen.in_order(empty, ["layer"]) is empty
    gaps = pa.table({"layer": [None, 1, 0]})
    assert frozen.in_order(gaps, ["layer"])["layer"].to_pylist() == [0, 1, None]


def test_a_table_is_sorted_by_the_axes_it_begins_with_that_of_its_units_first() -> None:
    view = Numbers(text_set(["a"]))
    kinds = {"rank": pa.int32(), "layer": pa.int32(), "word": pa.string(), "head": pa.int32()}
    shown = pa.schema([pa.field(name, kind) for name, kind in kinds.items()])
    assert frozen.sorting(view, shown) == ["layer", "rank"]
    assert list(view.grid) == list(Grid(6, 1))
