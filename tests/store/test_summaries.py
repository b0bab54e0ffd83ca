"""Summaries of records: right in every case, and read instead of the records where these are many."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

import belvedere
from belvedere.query.engine import Engine
from belvedere.query.lazy.array import LazyArray
from belvedere.store.folder import Folder
from belvedere.store.records import folder_of
from belvedere.store.summaries import UNSAVED, Brief
from belvedere.store.tracing import trace
from belvedere.store.views import Unit
from tests.small_views import Letters, small_engine, text_set

MANY = Letters(text_set([f"{n} a" for n in range(2 * UNSAVED)]), block=1)


def keep(folder: Folder, units: Sequence[Unit]) -> None:
    """Keep units with a byte each and one absent row."""
    for unit in units:
        made = {"seconds": 0.5, "device": "cpu", "host": "here", "run": "one", "time": "now"}
        assert folder.records.keep(unit, {"letters": b"x"}, absent={0: "no"}, facts={}, made=made)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A store with a record for each of many units, of which nobody asked yet."""
    engine = small_engine(tmp_path / "store")
    keep(engine.folder, MANY.units)
    return engine.folder.root


def summary(root: Path) -> Path:
    return root / "summaries" / "letters" / f"{MANY.recipe_key}.json"


def asked(root: Path) -> tuple[dict[str, Brief], list[str]]:
    """Ask a freshly opened store for the briefs, and for what it read."""
    with trace() as seen:
        found = Folder(root, "a").records.briefs(MANY)
    return found, seen.of("read")


def test_a_first_look_reads_the_records_and_writes_a_summary_and_the_next_reads_that(root: Path) -> None:
    first, read = asked(root)
    assert len([path for path in read if path.startswith("units/")]) == len(MANY.units)
    second, read = asked(root)
    assert read == [str(summary(root).relative_to(root))]
    assert second == first
    brief = first[MANY.units[7].key]
    assert (brief.unit, brief.nbytes, brief.absent) == (MANY.units[7].key, 1, 1)
    assert (brief.covers["start"], brief.covers["stop"], brief.covers["text_set"]["name"]) == (7, 8, "words")
    assert brief.made == {"seconds": 0.5, "device": "cpu", "host": "here", "run": "one", "time": "now"}


def test_a_second_look_of_one_process_is_a_listing(root: Path) -> None:
    folder = Folder(root, "a")
    first = folder.records.briefs(MANY)
    with trace() as seen:
        assert folder.records.briefs(MANY) == first
    assert (seen.of("read"), seen.of("list")) == ([], [folder_of(MANY)])


def test_a_few_records_write_no_summary(tmp_path: Path) -> None:
    engine = small_engine(tmp_path / "store")
    keep(engine.folder, MANY.units[: UNSAVED - 1])
    assert len(engine.folder.records.briefs(MANY)) == UNSAVED - 1
    assert not summary(engine.folder.root).exists()


def test_a_store_that_is_open_to_read_gets_no_summary(root: Path) -> None:
    assert len(Folder(root, "r").records.briefs(MANY)) == len(MANY.units)
    assert not summary(root).exists()


def test_a_few_further_records_are_read_beside_the_summary(tmp_path: Path) -> None:
    engine = small_engine(tmp_path / "store")
    root = engine.folder.root
    keep(engine.folder, MANY.units[: UNSAVED + 9])
    asked(root)
    written = summary(root).read_bytes()
    keep(engine.folder, MANY.units[UNSAVED + 9 : UNSAVED + 12])
    found, read = asked(root)
    assert (len(found), len(read), summary(root).read_bytes()) == (UNSAVED + 12, 1 + 3, written)


def test_a_record_that_was_set_aside_or_replaced_is_not_hidden(root: Path) -> None:
    asked(root)
    gone, other = (root / folder_of(MANY) / f"{MANY.units[place].key}.json" for place in (3, 4))
    gone.unlink()
    os.utime(other, ns=(1, 1))
    found, read = asked(root)
    assert set(found) == {unit.key for unit in MANY.units if unit.index != 3}
    assert read == [str(summary(root).relative_to(root)), str(other.relative_to(root))]


def test_a_record_that_changed_since_is_found_damaged(root: Path) -> None:
    asked(root)
    path = root / folder_of(MANY) / f"{MANY.units[3].key}.json"
    path.write_text(path.read_text().replace('"here"', '"hera"'))
    assert MANY.units[3].key not in asked(root)[0]
    assert len(list((root / "damaged").rglob("*.json"))) == 1


@pytest.mark.parametrize("how", ["flipped", "cut", "empty", "other"])
def test_a_summary_whose_bytes_changed_counts_as_absent_and_is_written_afresh(root: Path, how: str) -> None:
    first, _ = asked(root)
    data = summary(root).read_bytes()
    changed = {
        "flipped": data[:400] + bytes([data[400] ^ 1]) + data[401:],
        "cut": data[:-9],
        "empty": b"",
        "other": json.dumps({"columns": {}, "sha256": ""}).encode(),
    }
    summary(root).write_bytes(changed[how])
    assert asked(root)[0] == first
    assert summary(root).read_bytes() == data


def test_a_summary_that_cannot_be_written_is_done_without(root: Path) -> None:
    (root / "summaries").write_bytes(b"in the way")
    assert len(asked(root)[0]) == len(MANY.units)


def test_status_units_and_names_tell_the_same_with_a_summary_as_without(root: Path) -> None:
    def told() -> tuple[object, ...]:
        store = belvedere.open(root)
        engine = Engine(root, "a")
        rows = store.sql("SELECT * FROM units ORDER BY start").fetchall()
        return LazyArray(engine, MANY).status(), rows

    first = told()
    assert summary(root).exists()
    assert told() == first
    rows = first[1]
    assert isinstance(rows, list)
    assert (len(rows), rows[1][:7]) == (
        len(MANY.units),
        ("letters", None, None, "words", "text", 1, 2),
    )
