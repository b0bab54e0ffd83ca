"""Records: written last, once; nothing else says that a unit is done."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import belvedere
from belvedere.query.engine import Engine
from belvedere.query.lazy.array import LazyArray
from belvedere.store.errors import DamagedUnit, StoreFull
from belvedere.store.folder import Folder
from belvedere.store.objects import Objects
from belvedere.store.records import Kept, Record, Records
from tests.small_views import Letters, small_engine, text_set
from tests.worlds import contents, orphans, records

TEXTS = ["abc", "aa", "", "cab", "b", "ccc", "x", "ab", "bb", "a c"]
COUNTS = np.array([[text.count(letter) for letter in "abc"] for text in TEXTS], np.float32)
PLAIN = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return small_engine(tmp_path / "store")


def letters(engine: Engine, **params: Any) -> LazyArray:
    return LazyArray(engine, Letters(text_set(TEXTS), **params))


@given(
    st.builds(
        Record,
        unit=st.text(),
        attempt=st.text(),
        objects=st.lists(st.builds(Kept, st.text(), st.integers(0), st.text())).map(tuple),
        covers=st.dictionaries(st.text(), PLAIN),
        absent=st.dictionaries(st.integers(0, 3000), st.text()),
        facts=st.dictionaries(st.text(), PLAIN),
        made=st.dictionaries(st.text(), PLAIN),
    )
)
def test_a_record_is_read_as_it_was_written(record: Record) -> None:
    assert Record.from_json(record.to_json()) == record


def test_a_record_with_any_one_bit_flipped_is_none() -> None:
    record = Record(
        "k", "data/k", (Kept("part", 3, "ab"),), {"start": 0}, {3: "gone"}, {"error": 1.5e-07}, {}
    )
    data = record.to_json()
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ValueError, match="no record"):
            Record.from_json(bytes(flipped))


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"null", b'{"objects": 3, "sha256": ""}', b"\xff"])
def test_what_is_no_record_is_none(data: bytes) -> None:
    with pytest.raises(ValueError, match="no record"):
        Record.from_json(data)


def test_the_record_is_the_last_object_that_is_written(engine: Engine) -> None:
    with belvedere.trace() as seen:
        letters(engine, block=10).fill()
    kinds = [path.split("/")[0] for path in seen.of("write")]
    assert kinds == ["running", "claims", "data", "data", "recipes", "units", "runs"]


def test_data_without_a_record_do_not_count(engine: Engine) -> None:
    view = letters(engine)
    view.fill()
    path = next(iter(records(engine.folder.root)))
    (engine.folder.root / path).unlink()
    again = letters(small_engine(engine.folder.root))
    assert again.status().missing == 1
    with belvedere.trace() as seen:
        np.testing.assert_array_equal(again[:], COUNTS)
    assert len(seen.of("compute")) == 1


def test_the_first_record_wins_and_the_data_of_the_loser_go(engine: Engine) -> None:
    letters(engine).fill()
    unit = Letters(text_set(TEXTS)).units[0]
    before = (contents(engine.folder.root), records(engine.folder.root))
    late = Records(engine.folder.objects)
    assert not late.keep(unit, {"letters/zarr.json": b"late"}, absent={}, facts={}, made={})
    assert (contents(engine.folder.root), records(engine.folder.root)) == before
    assert orphans(engine.folder.root) == []


@pytest.mark.parametrize(("value", "number"), [("zero", 0.0), ("nan", np.nan)])
def test_zeros_and_nans_are_data_and_not_computed_again(engine: Engine, value: str, number: float) -> None:
    view = letters(engine, value=value)
    first = view[:]
    np.testing.assert_array_equal(first, np.full((10, 3), number, np.float32))
    with belvedere.trace() as seen:
        np.testing.assert_array_equal(letters(small_engine(engine.folder.root), value=value)[:], first)
    assert seen.of("compute") == []


def test_filled_again_the_data_are_the_same_bytes(tmp_path: Path) -> None:
    made = []
    for name in ("one", "two"):
        letters(small_engine(tmp_path / name)).fill()
        made.append(contents(tmp_path / name))
    assert made[0] == made[1]
    assert len(made[0]) == 6


class Crowded(Objects):
    """A folder on a device that has room for some bytes more."""

    room = 0

    def put(self, path: str, data: bytes) -> None:
        self._take(path, data)
        super().put(path, data)

    def create(self, path: str, data: bytes) -> bool:
        self._take(path, data)
        return super().create(path, data)

    def _take(self, path: str, data: bytes) -> None:
        if len(data) > self.room:
            raise StoreFull(f"no room left to write {path} ({errno.errorcode[errno.ENOSPC]})")
        self.room -= len(data)


def crowded(engine: Engine, room: int) -> Engine:
    """Open the same store anew with so many bytes left."""
    found = small_engine(engine.folder.root)
    objects = Crowded(engine.folder.root)
    objects.room = room
    folder = Folder(engine.folder.root, "a")
    folder.objects, folder.records = objects, Records(objects)
    found.folder = folder
    return found


def test_at_any_amount_of_room_a_full_device_leaves_whole_units_and_no_litter(engine: Engine) -> None:
    letters(engine).fill()
    whole = contents(engine.folder.root)
    for room in (0, 500, 1200, 2100, 3000, 4500, 6200):
        path = engine.folder.root.parent / f"room{room}"
        with pytest.raises(StoreFull, match="no room left to write"):
            letters(crowded(small_engine(path), room)).fill()
        assert contents(path).items() <= whole.items()
        assert orphans(path) == []
        found = len(records(path))
        assert letters(small_engine(path)).fill().filled == 3 - found
        assert contents(path) == whole


def test_a_damaged_record_is_named_once_and_missing_from_then_on(engine: Engine) -> None:
    view = letters(engine)
    view.fill()
    path = next(iter(records(engine.folder.root)))
    (engine.folder.root / path).write_bytes(b"{}")
    fresh = small_engine(engine.folder.root)
    with pytest.raises(DamagedUnit, match=rf"unit letters/.* is damaged \({path}: its bytes changed\)"):
        letters(fresh).read(missing="raise")
    assert letters(fresh).status().missing == 1
    np.testing.assert_array_equal(letters(fresh)[:], COUNTS)
    assert json.loads((engine.folder.root / path).read_bytes())["unit"] in path
