"""Opening a store: what is one, what is none, and what mode="r" refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import belvedere
from belvedere.store.errors import (
    DamagedObject,
    MissingUnits,
    NewerFormat,
    NotAStore,
    OlderFormat,
    ReadOnlyStore,
)
from tests.worlds import World


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_new_folder_becomes_a_store_and_opens_again(tmp_path: Path) -> None:
    made = belvedere.open(tmp_path / "deep" / "store")
    before = files(made.path)
    assert list(before) == ["belvedere.json"]
    assert belvedere.open(made.path).path == made.path
    assert files(made.path) == before


def test_an_empty_folder_becomes_a_store(tmp_path: Path) -> None:
    assert belvedere.open(tmp_path).path == tmp_path


def test_a_folder_with_other_things_in_it_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("…")
    with pytest.raises(NotAStore, match="holds no Belvedere store but is a folder with other things in it"):
        belvedere.open(tmp_path)
    with pytest.raises(NotAStore, match="holds no Belvedere store"):
        belvedere.open(tmp_path, mode="r")
    assert list(files(tmp_path)) == ["thesis.tex"]


def test_a_file_is_no_store_and_neither_is_a_place_below_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("…")
    with pytest.raises(NotAStore, match="is a file; name a new or an empty folder"):
        belvedere.open(tmp_path / "file")
    with pytest.raises(NotAStore, match="a file lies on the way"):
        belvedere.open(tmp_path / "file" / "store")


def test_reading_makes_no_store(tmp_path: Path) -> None:
    with pytest.raises(NotAStore, match=r"there is no belvedere\.json in it"):
        belvedere.open(tmp_path / "new", mode="r")
    assert not (tmp_path / "new").exists()


def test_a_store_of_a_newer_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "belvedere.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(NewerFormat, match="has format 99; this version reads 2: use a newer Belvedere"):
        belvedere.open(tmp_path)


def test_a_store_of_the_first_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "belvedere.json").write_text(json.dumps({"format": 1, "created": "2026-01-01T00:00:00"}))
    with pytest.raises(OlderFormat, match="has format 1; this version reads 2: use the Belvedere that wrote"):
        belvedere.open(tmp_path, mode="r")


def test_the_marker_says_in_plain_words_what_it_is(tmp_path: Path) -> None:
    belvedere.open(tmp_path)
    facts = json.loads((tmp_path / "belvedere.json").read_text())
    assert (sorted(facts), facts["format"]) == (["created", "format", "sha256"], 2)


def test_no_flip_of_a_bit_in_a_marker_gets_past_opening(tmp_path: Path) -> None:
    belvedere.open(tmp_path)
    marker = tmp_path / "belvedere.json"
    whole = marker.read_bytes()
    for bit in range(8 * len(whole)):
        data = bytearray(whole)
        data[bit // 8] ^= 1 << bit % 8
        marker.write_bytes(data)
        with pytest.raises(
            DamagedObject, match=r"belvedere\.json is damaged \(its bytes changed\); put the one"
        ):
            belvedere.open(tmp_path)


@pytest.mark.parametrize("marker", ["", "[]", "{}", '{"format": "new"}', '{"format": null}', "\xff"])
def test_a_marker_that_cannot_be_read_is_damaged(tmp_path: Path, marker: str) -> None:
    (tmp_path / "belvedere.json").write_bytes(marker.encode("latin-1"))
    with pytest.raises(DamagedObject, match="in its place: they differ in their date"):
        belvedere.open(tmp_path)


def test_a_store_that_is_open_to_read_refuses_names_and_fills_and_stays_as_it_is(
    store: belvedere.Store, world: World
) -> None:
    before = files(store.path)
    reader = belvedere.open(store.path, mode="r")
    for add in (
        lambda: reader.add_model("m", world.source),
        lambda: reader.add_images("photos", world.photos),
        lambda: reader.add_texts("words", ["a"], replace=True),
    ):
        with pytest.raises(ReadOnlyStore, match='open it with mode="a"'):
            add()
    with pytest.raises(
        MissingUnits, match=r'2 of 2 units of head_contributions.*open it with mode="a" to fill'
    ):
        reader.view("head_contributions").fill()
    with pytest.raises(MissingUnits, match="1 of 1 units"):
        reader.view("head_contributions")[3]
    with pytest.raises(MissingUnits):
        reader.view("head_descriptions").df()
    assert files(store.path) == before


def test_a_store_that_is_open_to_read_reads_and_answers_without_writing(filled: belvedere.Store) -> None:
    before = files(filled.path)
    reader = belvedere.open(filled.path, mode="r")
    assert reader.view("head_contributions")[:].shape == (300, 2, 2, 12)
    assert len(reader.view("head_descriptions").df()) == len(reader.sql("FROM head_descriptions"))
    assert reader.view("head_contributions").fill().reused == 2
    assert reader.verify().damage == ()
    assert all(not status.missing for status in reader.status())
    assert files(filled.path) == before
