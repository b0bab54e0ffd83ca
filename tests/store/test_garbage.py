"""Garbage: what nobody needs is found, what somebody may need is left, and no kill tears a unit."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from belvedere.store import marker
from belvedere.store.folder import Folder
from belvedere.store.garbage import Found, find, remove, sets_of_names
from belvedere.store.objects import Objects
from belvedere.store.presence import Presence, present
from belvedere.store.records import Record, Records
from belvedere.store.sealed import seal, unseal
from tests.small_views import Letters, text_set

VIEW = Letters(text_set(["abc", "aa", "b"]), block=1)
UNIT = VIEW.units[0]


class Killed(BaseException):
    """What a process does no more after it was killed."""


class Hooked(Objects):
    """Objects that call something before each change."""

    def __init__(self, root: Path, before: Callable[[str, str], None]) -> None:
        super().__init__(root)
        self._before = before

    def put(self, path: str, data: bytes) -> None:
        self._before("put", path)
        super().put(path, data)

    def create(self, path: str, data: bytes) -> bool:
        self._before("create", path)
        return super().create(path, data)

    def rename(self, old: str, new: str) -> bool:
        self._before("rename", old)
        return super().rename(old, new)

    def delete(self, path: str) -> None:
        self._before("delete", path)
        super().delete(path)


def kills(after: int) -> Callable[[str, str], None]:
    """Make a hook that lets so many changes happen, and none after them."""
    left = [after]

    def before(what: str, path: str) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise Killed

    return before


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    marker.check(tmp_path / "store", "a")
    return Folder(tmp_path / "store", "a")


@pytest.fixture(scope="module")
def gone() -> int:
    """The number of a process that has ended."""
    command = [sys.executable, "-c", "import os; print(os.getpid())"]
    return int(subprocess.run(command, capture_output=True, check=True).stdout)


def keep(records: Records, index: int = 0) -> bool:
    data = {"letters/zarr.json": b"{}", "letters/c/0/0": bytes([index])}
    return records.keep(VIEW.units[index], data, absent={}, facts={}, made={})


def collect(folder: Folder, objects: Objects | None = None) -> Found:
    """Remove all that nobody needs, as a process that is alone."""
    if objects is not None:
        folder.objects = objects
    found = find(folder, grace=0, dry_run=False)
    for litter in found.litter:
        remove(folder, litter)
    return found


def kinds(found: Found) -> dict[str, int]:
    """Count what was found by kind."""
    return {
        kind: sum(each.kind == kind for each in found.litter)
        for kind in sorted({e.kind for e in found.litter})
    }


def files(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def torn(root: Path) -> list[str]:
    """List what records name and is not there."""
    found = [Record.from_json(path.read_bytes()) for path in (root / "units").rglob("*.json")]
    names = [f"{record.attempt}/{kept.path}" for record in found for kept in record.objects]
    return [name for name in names if not (root / name).is_file()]


def bury(root: Path, pid: int) -> None:
    """Let all writers that are present be of a process that has ended."""
    for path in (root / "running").glob("*.json"):
        path.write_bytes(seal({**unseal(path.read_bytes()), "pid": pid, "born": "1"}))


def test_a_writer_is_present_before_it_writes_and_no_more_when_it_has_ended(folder: Folder) -> None:
    presence = Presence(folder.objects)
    with presence.at_work("test") as token, presence.at_work("more") as inner:
        assert (inner, [each.token for each in present(folder.objects)]) == (token, [token])
        assert presence.stands(token)
    assert (presence.stands(token), present(folder.objects)) == (False, [])
    with presence.at_work("test") as later:
        assert later != token


def test_a_dry_run_changes_nothing(folder: Folder, gone: int) -> None:
    with folder.presence.at_work("test") as token:
        folder.objects.put(f"data/letters/aa/aa.{token}-1/part", b"half")
        bury(folder.root, gone)
        before = files(folder.root)
        assert kinds(find(folder, grace=0, dry_run=True)) == {"attempts": 1, "writers": 1}
        assert files(folder.root) == before


@pytest.mark.parametrize("host", ["here", "elsewhere"])
def test_what_a_writer_that_lives_has_begun_is_left_alone(folder: Folder, host: str) -> None:
    with folder.presence.at_work("test") as token:
        if host == "elsewhere":
            path = folder.root / "running" / f"{token}.json"
            path.write_bytes(seal({**unseal(path.read_bytes()), "host": host, "pid": 1}))
        folder.objects.put(f"data/letters/aa/aa.{token}-1/part", b"half")
        (folder.root / "data/letters/aa" / f"aa.{token}-2").mkdir()
        (folder.root / f"data/letters/aa/aa.{token}-1/part#1").write_bytes(b"h")
        assert collect(folder).litter == ()


def test_the_word_of_another_machine_is_believed_for_a_day(folder: Folder) -> None:
    with folder.presence.at_work("test") as token:
        path = folder.root / "running" / f"{token}.json"
        path.write_bytes(seal({**unseal(path.read_bytes()), "host": "elsewhere"}))
        os.utime(path, (path.stat().st_mtime - 86_300,) * 2)
        assert kinds(collect(folder)) == {}
        os.utime(path, (path.stat().st_mtime - 200,) * 2)
        assert kinds(collect(folder)) == {"writers": 1}


def test_everything_that_a_killed_process_can_leave_is_found(folder: Folder, gone: int) -> None:
    assert keep(folder.records)
    clean = files(folder.root)
    root, presence = folder.root, Presence(folder.objects)
    with presence.at_work("test") as token:
        folder.objects.put(f"data/letters/aa/aa.{token}-1/part", b"half")
        (root / "data/letters/aa" / f"aa.{token}-2" / "c").mkdir(parents=True)
        (root / f"data/letters/aa/aa.{token}-1/part#1").write_bytes(b"h")
        bury(root, gone)
        (root / "running" / f"{token}.json").rename(root / "running" / "dead.json")
    folder.objects.put(f"data/letters/{UNIT.key[:2]}/{UNIT.key}.old-1/part", b"the loser's")
    folder.claims().take(UNIT)  # done
    folder.objects.put("claims/letters/other", b"not to be read")
    folder.objects.put("claims/lapsed/one.1234", b"on its way out")
    folder.objects.put("damaged/letters/r/k.1.json", b"no record")
    (root / "catalog.duckdb.12.tmp").write_bytes(b"half a catalog")
    (root / "catalog.duckdb.12.tmp.wal").write_bytes(b"")
    (root / ".out.zarr.1a2b.part").mkdir()
    (root / ".out.zarr.1a2b.part" / "zarr.json").write_bytes(b"{}")
    (root / "units" / "x.json#12").write_bytes(b"half a record")
    found = collect(folder)
    assert kinds(found) == {"attempts": 2, "claims": 2, "damaged": 1, "temporary": 7, "writers": 1}
    assert files(root) == clean
    assert collect(folder).litter == ()
    assert not list((root / "data").glob("*/aa/*"))


def test_an_export_whose_place_is_empty_between_two_renames_is_left(folder: Folder) -> None:
    for name in (".out.zarr.1a2b.part", ".out.zarr.3c4d.old"):
        (folder.root / name).mkdir()
    assert collect(folder).litter == ()


def test_young_files_are_left_unless_one_is_alone(folder: Folder) -> None:
    (folder.root / "belvedere.json#7").write_bytes(b"half")
    assert find(folder, grace=60, dry_run=True).litter == ()
    with folder.presence.at_work("test"):
        assert find(folder, grace=0, dry_run=True).litter == ()
    assert kinds(find(folder, grace=0, dry_run=True)) == {"temporary": 1}


def test_a_damaged_unit_goes_with_its_data_also_while_its_writer_lives(folder: Folder) -> None:
    with folder.presence.at_work("test"):
        keep(folder.records)
        record = folder.records.get(UNIT)
        path = folder.root / record.attempt / record.objects[0].path
        path.write_bytes(b"changed")
        assert folder.records.check(folder.records.path(UNIT), record) != []
        assert kinds(collect(folder)) == {"damaged": 1}
        assert not (folder.root / record.attempt).exists()
        assert keep(folder.records)
        assert (collect(folder).litter, torn(folder.root)) == ((), [])


def test_a_record_that_cannot_be_read_keeps_all_that_may_be_its_data(folder: Folder) -> None:
    keep(folder.records)
    folder.objects.put(f"data/letters/{UNIT.key[:2]}/{UNIT.key}.old-1/part", b"the loser's")
    (path,) = (folder.root / "units").rglob("*.json")
    path.write_bytes(b"{")
    assert collect(folder).litter == ()


def test_a_writer_killed_anywhere_leaves_what_the_next_collection_cleans(folder: Folder, gone: int) -> None:
    finished = set()
    for after in range(9):
        root = folder.root.with_name(f"killed{after}")
        shutil.copytree(folder.root, root)
        objects = Hooked(root, kills(after))
        with suppress(Killed):
            keep(Records(objects))
        bury(root, gone)
        collect(Folder(root, "a"))
        assert torn(root) == []
        kept = {path for path in files(root) if not path.startswith(("recipes/", "belvedere.json"))}
        assert len(kept) in (0, 3)  # two data objects and a record, or nothing
        finished.add(len(kept))
    assert finished == {0, 3}


def test_a_collection_killed_anywhere_tears_nothing_and_is_made_up_for(folder: Folder, gone: int) -> None:
    for index in range(3):
        keep(folder.records, index)
    with folder.presence.at_work("test") as token:
        folder.objects.put(f"data/letters/aa/aa.{token}-1/part", b"half")
        bury(folder.root, gone)
        shutil.copytree(folder.root, folder.root.with_name("before"))
    record = folder.records.get(UNIT)
    broken = folder.root.with_name("before") / record.attempt / record.objects[0].path
    broken.write_bytes(b"changed")
    Folder(folder.root.with_name("before"), "a").records.check(folder.records.path(UNIT), record)
    after, results = 0, set()
    while True:
        root = folder.root.with_name(f"collected{after}")
        shutil.copytree(folder.root.with_name("before"), root)
        try:
            collect(Folder(root, "a"), Hooked(root, kills(after)))
            ended = True
        except Killed:
            ended = False
        assert torn(root) == []
        collect(Folder(root, "a"))
        results.add(tuple(files(root)))
        if ended:
            break
        after += 1
    assert (after > 3, len(results)) == (True, 1)


def test_a_writer_taken_for_dead_at_any_instant_keeps_a_whole_unit(folder: Folder, gone: int) -> None:
    """Another process collects between two steps of a writer, as if the writer had ended."""
    for at in range(8):
        root = folder.root.with_name(f"slow{at}")
        shutil.copytree(folder.root, root)
        steps = [0]

        def before(what: str, path: str, root: Path = root, at: int = at, steps: list[int] = steps) -> None:
            if steps[0] == at:
                bury(root, gone)
                collect(Folder(root, "a"))
            steps[0] += 1

        assert keep(Records(Hooked(root, before)))
        assert (torn(root), len(list((root / "units").rglob("*.json")))) == ([], 1)
        assert present(Objects(root)) == []


@pytest.mark.parametrize("step", range(6))
def test_a_writer_that_goes_on_at_any_instant_of_a_collection_keeps_a_whole_unit(
    folder: Folder, gone: int, step: int
) -> None:
    """A writer that sleeps before its record, and is taken for dead, wakes in the middle of a collection."""
    asleep, wake = threading.Event(), threading.Event()

    def waits(what: str, path: str) -> None:
        if (what, path.split("/")[0]) == ("create", "units") and not asleep.is_set():
            asleep.set()
            assert wake.wait(20)

    kept: list[Any] = []
    writer = threading.Thread(target=lambda: kept.append(keep(Records(Hooked(folder.root, waits)))))
    writer.start()
    assert asleep.wait(20)
    bury(folder.root, gone)
    steps = [0]

    def wakes(what: str, path: str) -> None:
        if steps[0] == step:
            wake.set()
            writer.join()
        steps[0] += 1

    collect(Folder(folder.root, "a"), Hooked(folder.root, wakes))
    wake.set()
    writer.join()
    assert kept == [True]
    assert (torn(folder.root), len(list((folder.root / "units").rglob("*.json")))) == ([], 1)
    collect(Folder(folder.root, "a"))
    assert torn(folder.root) == []


def test_sets_are_told_apart_by_the_names_that_need_them_and_not_at_all_where_one_is_damaged(
    folder: Folder,
) -> None:
    first, second = text_set(["a"]), text_set(["b"])
    assert folder.names.put_text_set(first, 0)
    assert folder.names.put_text_set(second, 1)
    folder.objects.put("sets/none.parquet", b"")
    listed = {path for path in files(folder.root) if path.startswith("sets/")}
    assert len(listed) == 3  # also that of before, which is history
    assert sets_of_names(folder.objects) == listed - {"sets/none.parquet"}
    path = folder.root / "names/texts/words/000001.json"
    path.write_bytes(path.read_bytes().replace(b"entries", b"fntries"))
    assert sets_of_names(folder.objects) is None
