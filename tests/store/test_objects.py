"""Objects on disk: put whole, created once, renamed once, refused in plain words."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import belvedere
from belvedere.store.errors import ReadOnlyStore, StoreError
from belvedere.store.objects import Objects


@pytest.fixture
def objects(tmp_path: Path) -> Objects:
    return Objects(tmp_path)


def test_what_is_put_is_read_whole_in_part_and_from_the_end(objects: Objects) -> None:
    objects.put("a/b", b"0123456789")
    assert objects.get("a/b") == b"0123456789"
    assert objects.get_range("a/b", 2, 5) == b"234"
    assert objects.get_tail("a/b", 3) == b"789"
    assert objects.get_tail("a/b", 30) == b"0123456789"
    assert objects.size("a/b") == 10


def test_a_second_put_replaces_the_first(objects: Objects) -> None:
    objects.put("a", b"first")
    objects.put("a", b"2nd")
    assert objects.get("a") == b"2nd"


def test_an_object_is_created_once_and_the_first_stays(objects: Objects) -> None:
    assert [objects.create("a", b"1"), objects.create("a", b"2")] == [True, False]
    assert objects.get("a") == b"1"


def test_of_many_that_create_one_object_at_once_one_succeeds(objects: Objects) -> None:
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda n: objects.create("a", b"%d" % n), range(40)))
    assert won.count(True) == 1
    assert objects.get("a") == b"%d" % won.index(True)


def test_of_many_that_rename_one_object_at_once_one_succeeds(objects: Objects) -> None:
    objects.put("a", b"x")
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda n: objects.rename("a", f"b/{n}"), range(40)))
    assert won.count(True) == 1
    assert [info.path for info in objects.list("")] == [f"b/{won.index(True)}"]


def test_what_is_not_there_is_not_found_and_can_be_deleted(objects: Objects) -> None:
    for read in (objects.get, objects.size, objects.get_json):
        with pytest.raises(FileNotFoundError, match="no such object"):
            read("no/thing")
    objects.delete("no/thing")
    assert not objects.exists("no/thing")
    assert not objects.rename("no/thing", "other")


def test_names_are_those_of_the_json_objects_right_below(objects: Objects) -> None:
    for path in ("u/a.json", "u/b.json", "u/deep/c.json", "u/d.parquet", "v/e.json"):
        objects.put(path, b"{}")
    assert objects.names("u/") == {"a", "b"}
    assert objects.names("nothing/") == set()
    assert {info.path for info in objects.list("u/")} == {
        "u/a.json",
        "u/b.json",
        "u/deep/c.json",
        "u/d.parquet",
    }


def test_what_a_killed_writer_left_behind_is_not_listed(objects: Objects) -> None:
    objects.put("u/a.json", b"{}")
    (objects.root / "u" / "b.json#1").write_bytes(b"{")
    assert objects.names("u/") == {"a"}
    assert [info.path for info in objects.list("u/")] == ["u/a.json"]
    objects.put("u/b.json", b"{}")
    assert objects.get("u/b.json") == b"{}"


def test_a_read_only_store_refuses_each_way_of_writing(tmp_path: Path) -> None:
    Objects(tmp_path).put("a", b"x")
    objects = Objects(tmp_path, read_only=True)
    for write in (
        lambda: objects.put("b", b""),
        lambda: objects.create("b", b""),
        lambda: objects.rename("a", "b"),
        lambda: objects.delete("a"),
    ):
        with pytest.raises(ReadOnlyStore, match=r'opened with mode="r".*open it with mode="a"'):
            write()
    assert objects.get("a") == b"x"


def test_a_range_outside_an_object_is_an_error_of_the_store(objects: Objects) -> None:
    objects.put("a", b"123")
    with pytest.raises(StoreError, match="a: "):
        objects.get_range("a", 10, 20)


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is refused to root")
def test_a_folder_without_permission_is_named(objects: Objects) -> None:
    folder = objects.root / "closed"
    folder.mkdir(mode=0o500)
    with pytest.raises(ReadOnlyStore, match="closed/a: permission denied"):
        objects.put("closed/a", b"x")


def test_a_trace_lists_what_was_read_written_listed_and_deleted(objects: Objects) -> None:
    with belvedere.trace() as seen:
        objects.put("a/x.json", b"{}")
        objects.create("a/x.json", b"{}")
        objects.get("a/x.json")
        objects.names("a/")
        objects.rename("a/x.json", "b")
        objects.delete("b")
    assert seen.events == [
        ("write", "a/x.json"),
        ("read", "a/x.json"),
        ("list", "a/"),
        ("write", "b"),
        ("delete", "b"),
    ]
