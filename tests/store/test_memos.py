"""What is kept by its cause."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from belvedere.store.memos import Memos, packed, unpacked
from belvedere.store.objects import Objects


@pytest.fixture
def memos(tmp_path: Path) -> Memos:
    return Memos(Objects(tmp_path))


def test_the_first_that_is_kept_stands(memos: Memos) -> None:
    cause = {"pixels": "ab", "captioner": "c"}
    assert memos.get("captions", cause) is None
    assert memos.put("captions", cause, {"caption": "a star"}) == {"caption": "a star"}
    assert memos.put("captions", cause, {"caption": "a ring"}) == {"caption": "a star"}
    assert memos.get("captions", dict(reversed(cause.items()))) == {"caption": "a star"}
    assert memos.get("reply", cause) is None
    assert memos.of("captions") == [{"cause": cause, "value": {"caption": "a star"}}]


def test_what_is_damaged_counts_as_nothing_and_is_kept_afresh(memos: Memos, tmp_path: Path) -> None:
    memos.put("captions", {"n": 1}, {"caption": "a star"})
    (file,) = (each for each in tmp_path.rglob("*.json"))
    file.write_bytes(file.read_bytes().replace(b"star", b"scar"))
    assert memos.get("captions", {"n": 1}) is None
    assert memos.of("captions") == []
    assert memos.put("captions", {"n": 1}, {"caption": "a ring"}) == {"caption": "a ring"}
    assert memos.get("captions", {"n": 1}) == {"caption": "a ring"}


def test_what_is_of_no_use_any_more_is_replaced(memos: Memos) -> None:
    memos.put("paintings", {"n": 1}, {"picture": "gone"})
    fresh = {"picture": "here"}
    assert memos.put("paintings", {"n": 1}, fresh, lambda found: found["picture"] != "gone") == fresh
    assert memos.get("paintings", {"n": 1}) == fresh


def test_pictures_are_kept_by_their_bytes(memos: Memos, tmp_path: Path) -> None:
    name = memos.put_picture(b"some bytes")
    assert memos.picture(name) == b"some bytes"
    (file,) = (each for each in tmp_path.rglob("*.png"))
    file.write_bytes(b"other bytes")
    assert memos.picture(name) is None
    assert memos.put_picture(b"some bytes") == name
    assert memos.picture(name) == b"some bytes"


def test_another_stores_memos_are_taken_over_and_damaged_ones_named(tmp_path: Path) -> None:
    for name in ("theirs", "ours"):
        (tmp_path / name).mkdir()
    theirs, ours = (Memos(Objects(tmp_path / name)) for name in ("theirs", "ours"))
    theirs.put("captions", {"n": 1}, {"caption": "a star"})
    theirs.put("captions", {"n": 2}, {"caption": "a ring"})
    name = theirs.put_picture(b"some bytes")
    bad = next(each for each in (tmp_path / "theirs").rglob("*.json") if b"ring" in each.read_bytes())
    bad.write_bytes(bad.read_bytes().replace(b"ring", b"wing"))
    assert ours.take(theirs) == [bad.relative_to(tmp_path / "theirs").as_posix()]
    assert (ours.get("captions", {"n": 1}), ours.get("captions", {"n": 2})) == ({"caption": "a star"}, None)
    assert ours.picture(name) == b"some bytes"


def test_numbers_come_back_as_they_were() -> None:
    values = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
    assert np.array_equal(unpacked(packed(values)).reshape(3, 5), values)
