"""Bytes that are not those that were written: found, named, set aside, computed again."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import belvedere
from belvedere.query.store import Store
from belvedere.store.errors import DamagedUnit, StoreError
from belvedere.store.records import Record
from tests.worlds import World, contents, records


def flip(path: Path, bit: int) -> None:
    """Turn over one bit of a file."""
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(bytes(data))


def damage(path: Path) -> None:
    """Turn over a bit in the middle of a file."""
    flip(path, 4 * path.stat().st_size)


def cut(path: Path) -> None:
    """Leave half of a file."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    """Leave nothing in a file."""
    path.write_bytes(b"")


def remove(path: Path) -> None:
    """Take a file away."""
    path.unlink()


def objects_of(store: Store, view: str) -> tuple[str, Record]:
    """Give the record of the first unit of a view, with its path."""
    return next((path, record) for path, record in records(store).items() if path.split("/")[1] == view)


READS: dict[str, tuple[str, Callable[[Store], Any]]] = {
    "head_contributions/factor/c/0/0/0/0": (
        "head_contributions",
        lambda store: store.view("head_contributions")[:],
    ),
    "head_contributions/scalars/c/0/0": (
        "head_contributions",
        lambda store: store.view("head_contributions")[:, 0],
    ),
    "tower_maps/head_map/c/0/0/0/0": ("tower_maps", lambda store: store.view("head_contributions")[3]),
    "text_embeddings/embedding/c/0/0": ("text_embeddings", lambda store: store.view("text_embeddings")[:]),
    "head_moments/moments/c/0/0/0/0": ("head_moments", lambda store: store.view("head_moments")[:]),
    "head_descriptions/part.parquet": (
        "head_descriptions",
        lambda store: store.view("head_descriptions").fetchall(),
    ),
}


@pytest.mark.parametrize("how", [damage, cut, empty, remove])
@pytest.mark.parametrize("place", READS)
def test_a_read_names_what_is_damaged_and_the_next_one_computes_it_again(
    filled: Store, place: str, how: Callable[[Path], None]
) -> None:
    view, read = READS[place]
    before, expected = contents(filled), read(filled)
    path, record = objects_of(filled, view)
    how(filled.path / record.attempt / place.partition("/")[2])

    reader = belvedere.open(filled.path, mode="r")
    with pytest.raises(DamagedUnit, match=rf"unit {view}/.* is damaged .*{place.rpartition('/')[2]}: "):
        read(reader)
    assert path in records(filled)

    again = belvedere.open(filled.path)
    with belvedere.trace() as seen:
        np.testing.assert_array_equal(read(again), expected)
    assert [each.split("/")[0] for each in seen.of("compute")] == [view]
    assert contents(filled) == before
    assert len(list((filled.path / "damaged" / view).rglob("*.json"))) == 1


def test_several_damaged_units_are_all_named_and_computed_again_in_one_read(filled: Store) -> None:
    before = contents(filled)
    view = filled.view("head_contributions")
    expected = view[:]
    for path, record in records(filled).items():
        if "/head_contributions/" in path or "/tower_maps/" in path:
            for kept in record.objects:
                damage(filled.path / record.attempt / kept.path)
    np.testing.assert_array_equal(belvedere.open(filled.path).view("head_contributions")[:], expected)
    assert contents(filled) == before


def test_no_flip_of_a_bit_in_what_is_read_gets_past_a_read(filled_once: Path, tmp_path: Path) -> None:
    store = belvedere.open(shutil.copytree(filled_once, tmp_path / "store"))
    dice = random.Random(11)
    for place, (view, read) in READS.items():
        _, record = objects_of(store, view)
        path = store.path / record.attempt / place.partition("/")[2]
        whole = path.read_bytes()
        for bit in (0, 8 * len(whole) - 1, *(dice.randrange(8 * len(whole)) for _ in range(8))):
            flip(path, bit)
            with pytest.raises(DamagedUnit):
                read(belvedere.open(store.path, mode="r"))
            path.write_bytes(whole)


def test_verify_sets_aside_what_is_damaged_and_it_counts_as_missing(filled: Store) -> None:
    before = contents(filled)
    path, record = objects_of(filled, "head_contributions")
    gone = record.attempt + "/scalars/zarr.json"
    remove(filled.path / gone)
    found = filled.verify()
    assert [(each.view, each.unit, each.path, each.what) for each in found.damage] == [
        ("head_contributions", record.unit, gone, "removed")
    ]
    assert found.units == len(records(filled)) + 1
    assert path not in records(filled)
    assert filled.view("head_contributions").status().missing == 1
    assert filled.verify().damage == ()
    assert filled.view("head_contributions").fill().filled == 1
    assert contents(filled) == before


def test_verify_reads_every_byte(kept: Store) -> None:
    found = kept.verify()
    assert (found.units, found.damage) == (len(records(kept)), ())
    assert found.bytes == sum(record.nbytes for record in records(kept).values())


@pytest.mark.parametrize("how", [damage, cut, empty])
def test_a_damaged_record_is_missing_to_all_that_ask(filled: Store, how: Callable[[Path], None]) -> None:
    path, _ = objects_of(filled, "head_descriptions")
    before = contents(filled)
    how(filled.path / path)
    fresh = belvedere.open(filled.path)
    assert len(fresh.sql("FROM units").fetchall()) == len(records(filled))
    assert fresh.view("head_descriptions").status().ready == 1
    assert fresh.sql("FROM head_descriptions").completeness.views["head_descriptions"].missing == 1
    assert fresh.view("head_descriptions").fill().filled == 1
    assert contents(filled) == before


def test_an_answer_names_a_damaged_part_and_the_next_one_is_incomplete(filled: Store) -> None:
    _, record = objects_of(filled, "head_descriptions")
    damage(filled.path / record.attempt / "part.parquet")
    with pytest.raises(DamagedUnit, match=r"unit head_descriptions/.* is damaged \(data/.*its bytes changed"):
        filled.sql("SELECT count(*) FROM head_descriptions")
    answer = filled.sql("SELECT count(*) FROM head_descriptions")
    assert str(answer.completeness) == "head_descriptions lacks 1 of 2 units (m × photos × words)"


def test_what_is_damaged_beneath_is_computed_again_by_a_fill_and_not_called_a_failure(filled: Store) -> None:
    before = contents(filled)
    for path, record in records(filled).items():
        view = path.split("/")[1]
        if view in ("head_moments", "head_descriptions"):
            (filled.path / path).unlink()
        if view == "head_contributions" or view == "text_embeddings":
            damage(filled.path / record.attempt / record.objects[0].path)
    report = belvedere.open(filled.path).view("head_descriptions").fill()
    assert (report.filled, report.failed, report.skipped) == (6, 0, 0)
    assert contents(filled) == before
    assert filled.errors() == []


def test_a_process_that_read_a_unit_before_reads_the_one_that_replaced_it(filled: Store) -> None:
    view = filled.view("head_contributions")
    expected = view[:]
    _, record = objects_of(filled, "head_contributions")
    remove(filled.path / record.attempt / "factor/c/0/0/0/0")
    other = belvedere.open(filled.path)
    other.verify()
    assert other.view("head_contributions").fill().filled == 1
    with belvedere.trace() as seen:
        np.testing.assert_array_equal(view[:], expected)
    assert seen.of("compute") == []


def test_a_damaged_list_of_images_is_found_and_mended_by_adding_it_again(filled: Store, world: World) -> None:
    before = filled.view("head_contributions")[:20]
    path = max((filled.path / "sets").iterdir(), key=lambda path: path.stat().st_size)
    damage(path)
    fresh = belvedere.open(filled.path)
    found = [(each.view, filled.path / each.path, each.what) for each in fresh.verify().damage]
    assert found == [("sets", path, "its bytes changed")]
    with pytest.raises(
        StoreError, match=r"sets/.*parquet is damaged \(its bytes changed\); add the images or texts again"
    ):
        fresh.view("head_contributions")
    fresh.add_images("photos", world.photos, replace=True)
    with belvedere.trace() as seen:
        np.testing.assert_array_equal(fresh.view("head_contributions")[:20], before)
    assert (seen.of("compute"), fresh.verify().damage) == ([], ())
