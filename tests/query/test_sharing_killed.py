"""Publishers and pullers that are killed at any instant leave nothing torn, and the next one goes on."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import duckdb
import pytest

import belvedere
from belvedere.query.exchange import published
from belvedere.query.exchange.published import CATALOG
from tests.crew import Told, Worker
from tests.worlds import contents, records

KILLS = 4


@pytest.fixture
def crew() -> Iterator[list[Worker]]:
    """Processes to be ended after the test, however it went."""
    found: list[Worker] = []
    yield found
    for worker in found:
        worker.process.kill()
        worker.end()


def publish_for_ever(store: belvedere.Store, says: Connection, start: int) -> None:
    """Publish again and again, each time with one more set of texts."""
    store.publish()
    says.send("started")
    for number in range(start, start + 10_000):
        store.add_texts(f"n{number:05}", [str(number)])
        store.publish()


def pull_all(store: belvedere.Store, says: Connection, other: Path) -> None:
    """Take over all units of another store, and say when each is done."""
    store.pull(other, progress=Told(says, pause=False))


def test_a_publisher_that_is_killed_leaves_the_catalog_whole(
    filled: belvedere.Store, crew: list[Worker]
) -> None:
    dice, before = random.Random(5), 0
    for number in range(KILLS):
        worker = Worker(filled.path, publish_for_ever, 1000 * number)
        crew.append(worker)
        assert worker.hear() == "started"
        time.sleep(dice.uniform(0, 0.6))
        worker.process.kill()
        worker.end()
        with duckdb.connect(filled.path / CATALOG, read_only=True) as con:
            ((count,),) = con.execute("SELECT count(*) FROM text_sets").fetchall()
            rows = con.execute("SELECT count(*) FROM head_descriptions").fetchall()
        assert count >= before
        assert rows == [(len(filled.sql("FROM head_descriptions")),)]
        before = count
        known = {path.stem for path in (filled.path / "published").iterdir()}
        assert published.digest_of(filled.path / CATALOG) in known
    left = {path.name for path in filled.path.glob(f"{CATALOG}*")} - {CATALOG}
    assert all(".tmp" in name for name in left)
    filled.publish()
    with duckdb.connect(filled.path / CATALOG, read_only=True) as con:
        assert (
            con.execute("SELECT count(*) FROM text_sets").fetchall()
            == filled.sql("SELECT count(*) FROM text_sets").fetchall()
        )


def test_a_pull_that_is_killed_is_taken_up_by_the_next(
    kept: belvedere.Store, tmp_path: Path, crew: list[Worker]
) -> None:
    mine = belvedere.open(tmp_path / "mine")
    dice, stages = random.Random(6), []
    whole = contents(kept)
    for _ in range(KILLS):
        worker = Worker(mine.path, pull_all, kept.path)
        crew.append(worker)
        for _ in range(dice.randrange(1, 4)):
            assert worker.hear() == "batch"
        worker.process.kill()
        worker.end()
        assert contents(mine).items() <= whole.items()
        stages.append(len(records(mine)))
    assert stages == sorted(stages)
    assert stages[0] < len(records(kept))
    mine.pull(kept.path)
    assert contents(mine) == whole
    assert mine.verify().damage == ()
    assert mine.sql("FROM head_descriptions", require_complete=True).fetchall() == (
        kept.sql("FROM head_descriptions").fetchall()
    )
