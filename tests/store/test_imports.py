"""Imports as objects: whole or not there, whoever dies or collects meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from belvedere.query.upkeep.collecting import collect
from belvedere.query.upkeep.eviction import Limits
from belvedere.store import marker, parts
from belvedere.store.folder import Folder
from belvedere.store.imports import Imports
from belvedere.store.presence import Presence
from tests.store.test_garbage import Hooked, Killed, kills

KEY = "0123456789abcdef"
FACTS = {"source": "labels.csv", "rows_ok": 2}
COLUMNS = {"neuron": "int32", "label": "string"}
TABLES = {
    "labels": parts.encode(COLUMNS, {"neuron": [0, 1], "label": ["a", None]}),
    "rejects": parts.encode({"line": "int64"}, {"line": [4]}),
}
NOTHING = Limits(None, None, frozenset(), frozenset())


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A store in which nothing is."""
    marker.check(tmp_path / "store", "a")
    return tmp_path / "store"


def imports(root: Path, before: Callable[[str, str], None] = lambda what, path: None) -> Imports:
    """Open the imports of a store, with a hook before each change."""
    objects = Hooked(root, before)
    return Imports(objects, Presence(objects))


def files(root: Path) -> list[str]:
    return sorted(path.name for path in (root / "imports").rglob("*") if path.is_file())


def collected(root: Path) -> list[tuple[str, int]]:
    """Collect, as a process would that thinks itself alone."""
    found = collect(Folder(root, "a"), NOTHING, grace=0, dry_run=False)
    return [(each.what, each.count) for each in found.garbage if each.what.startswith("tables")]


def test_what_was_put_is_read_whole(root: Path) -> None:
    here = imports(root)
    assert here.put(KEY, FACTS, TABLES)
    found = here.read(KEY)
    assert (here.listed(), found.facts, sorted(found.parts)) == ([KEY], FACTS, ["labels", "rejects"])
    rows = here.rows(found, "labels")
    assert rows is not None
    assert rows.to_pydict() == {"neuron": [0, 1], "label": ["a", None]}
    assert here.rows(found, "scores") is None
    assert (here.is_whole(KEY), here.is_whole("f" * 16)) == (True, False)


def test_the_second_of_two_leaves_nothing_behind(root: Path) -> None:
    here = imports(root)
    assert here.put(KEY, FACTS, TABLES)
    before = files(root)
    assert not here.put(KEY, {**FACTS, "source": "other.csv"}, TABLES)
    assert (files(root), here.read(KEY).facts) == (before, FACTS)


def test_a_kill_before_any_step_leaves_an_import_whole_or_not_there(root: Path) -> None:
    steps = list[str]()
    assert imports(root, lambda what, path: steps.append(f"{what} {path.split('/')[0]}")).put(
        KEY, FACTS, TABLES
    )
    assert steps == ["put running", "put imports", "put imports", "create imports", "delete running"]
    imports(root).remove(KEY)
    assert [count for _, count in collected(root)] == [2]
    for after in range(len(steps)):
        with pytest.raises(Killed):
            imports(root, kills(after)).put(KEY, FACTS, TABLES)
        there = imports(root)
        assert there.is_whole(KEY) == (after == 4) == bool(there.listed())
        there.remove(KEY)
        for word in (root / "running").glob("*.json"):  # the process is said to be dead
            word.unlink()
        assert collected(root) == (
            [("tables of imports that were removed or not finished", min(after, 3) - 1)] if after > 1 else []
        )
        assert files(root) == []


def test_a_collection_between_any_two_steps_takes_nothing(root: Path) -> None:
    taken = list[tuple[str, int]]()
    here = imports(root, lambda what, path: taken.extend(collected(root)))
    assert here.put(KEY, FACTS, TABLES)
    assert (taken, here.is_whole(KEY)) == ([], True)


def test_parts_are_left_alone_while_a_record_cannot_be_read(root: Path) -> None:
    here = imports(root)
    assert here.put(KEY, FACTS, TABLES)
    record = root / "imports" / f"{KEY}.json"
    whole = record.read_bytes()
    record.write_bytes(whole[:-1])
    assert (here.named(), collected(root), len(files(root))) == (None, [], 3)
    record.write_bytes(whole)
    assert here.is_whole(KEY)


def test_a_damaged_import_is_replaced_by_a_whole_one(root: Path) -> None:
    here = imports(root)
    assert here.put(KEY, FACTS, TABLES)
    next((root / "imports" / "parts").iterdir()).write_bytes(b"something else")
    assert not here.is_whole(KEY)
    assert here.put(KEY, FACTS, TABLES)
    assert here.is_whole(KEY)
    assert (len(files(root)), here.is_whole(KEY), collected(root)) == (3, True, [])
    record = root / "imports" / f"{KEY}.json"
    record.write_bytes(record.read_bytes()[1:])
    assert here.put(KEY, FACTS, TABLES)
    assert (here.is_whole(KEY), here.read(KEY).facts) == (True, FACTS)
    assert collected(root) == [("tables of imports that were removed or not finished", 2)]
    assert len(files(root)) == 3
