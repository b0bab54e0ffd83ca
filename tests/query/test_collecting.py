"""Collection as a user asks for it: least recently used first, and never what cannot be computed again."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import belvedere
from belvedere.query.exchange import publish
from belvedere.query.upkeep.collecting import Collected
from belvedere.query.upkeep.eviction import Held, Limits, choose
from belvedere.store import uses
from belvedere.store.errors import BadSource, ReadOnlyStore, UnknownName
from belvedere.store.objects import Objects
from belvedere.store.records import Kept, Record
from belvedere.store.registry import Registry
from tests.worlds import World, contents, engine, orphans, records

DAY = 86_400


def held(view: str, number: int, size: int, used: float) -> Held:
    record = Record(f"{number}", "data", (Kept("part", size, ""),), {})
    return Held(view, "r", f"units/{view}/r/{number}.json", record, used)


def limits(max_bytes: int | None = None, older_than: float | None = None) -> Limits:
    return Limits(max_bytes, older_than, frozenset(), frozenset())


UNITS = [held("a", number, 10, used=100.0 + number) for number in range(4)]


@pytest.mark.parametrize(
    ("asked", "gone"),
    [
        (limits(max_bytes=40), []),
        (limits(max_bytes=39), [0]),
        (limits(max_bytes=20), [0, 1]),
        (limits(max_bytes=0), [0, 1, 2, 3]),
        (limits(older_than=8.5), [0, 1]),
        (limits(older_than=1000.0), []),
        (limits(max_bytes=5, older_than=8.5), [0, 1, 2, 3]),
    ],
)
def test_units_go_the_least_recently_used_first_and_no_more_than_asked(
    asked: Limits, gone: list[int]
) -> None:
    assert choose(UNITS, asked, UNITS, now=110.0) == [UNITS[each] for each in gone]


def test_units_that_may_not_go_count_and_stay() -> None:
    assert choose(UNITS, limits(max_bytes=15), UNITS[1:], now=110.0) == UNITS[1:]


def age(store: belvedere.Store, *views: str, days: float) -> None:
    """Let the units of some views be as old as that, and forget when they were read."""
    shutil.rmtree(store.path / "uses", ignore_errors=True)
    for view in views:
        for path in (store.path / "units" / view).rglob("*.json"):
            os.utime(path, (time.time() - days * DAY,) * 2)


def units(found: Collected) -> dict[str, int]:
    return {each.what: each.count for each in found.units}


def test_a_unit_that_is_given_up_is_missing_and_those_made_from_it_stay_ready(
    filled: belvedere.Store,
) -> None:
    whole, before = contents(filled), records(filled)
    age(filled, "head_contributions", "mlp_contributions", days=31)
    told = filled.gc(older_than="30d", keep=["mlp_contributions"], dry_run=True)
    assert (records(filled), told.removed) == (before, False)
    found = filled.gc(older_than="30d", keep=["mlp_contributions"])
    assert (units(found), units(told)) == ({"head_contributions": 2}, {"head_contributions": 2})
    assert (
        found.units[0].bytes
        == told.bytes
        == sum(record.nbytes for path, record in before.items() if "/head_contributions/" in path)
    )
    assert filled.view("head_contributions").status().missing == 2
    assert orphans(filled) == []
    with belvedere.trace() as seen:
        assert len(filled.view("head_descriptions").df()) > 0
        assert filled.view("head_descriptions").plan().units == 0
    assert seen.of("compute") == []
    assert filled.view("head_contributions").fill(batch_size=64).filled == 2
    assert contents(filled) == whole


def test_reading_keeps_a_unit(filled: belvedere.Store) -> None:
    age(filled, *os.listdir(filled.path / "units"), days=40)
    filled.view("image_embeddings")[:3]
    engine(filled).folder.uses.write()
    found = filled.gc(older_than="30d", dry_run=True)
    assert "image_embeddings" in units(filled.gc(older_than=0, dry_run=True))
    assert units(found)["image_embeddings"] == 1  # the second block was not read


def test_until_the_rest_fits_what_was_used_least_recently_goes(filled: belvedere.Store) -> None:
    age(filled, "mlp_contributions", days=3)
    age(filled, "residual_contributions", days=2)
    sizes = {path: record.nbytes for path, record in records(filled).items()}
    first = sum(size for path, size in sizes.items() if "/mlp_contributions/" in path)
    found = filled.gc(max_bytes=sum(sizes.values()) - first + 1)
    assert units(found) == {"mlp_contributions": 2}
    assert (found.left, found.over) == (sum(sizes.values()) - first, 0)
    assert sum(record.nbytes for record in records(filled).values()) == found.left


def test_named_views_alone_go(filled: belvedere.Store) -> None:
    found = filled.gc(max_bytes=0, views=["head_moments", "tower_maps"])
    assert units(found) == {"head_moments": 1, "tower_maps": 1}
    assert found.over == found.left > 0


def test_what_was_imported_goes_only_when_it_is_named(world: World, tmp_path: Path) -> None:
    store = belvedere.open(tmp_path / "store")
    store.add_images("photos", world.photos)
    dice = np.random.default_rng(0)
    files = {"acts": (300, 5), "heads": (300, 2, 3, 4)}
    for name, shape in files.items():
        np.save(tmp_path / f"{name}.npy", dice.normal(size=shape).astype(np.float32))
    said: dict[str, dict[str, Any]] = {"acts": {"module": "layer4"}, "heads": {"contributions": "heads"}}
    for name, words in said.items():
        store.import_arrays(name, tmp_path / f"{name}.npy", images="photos", progress=False, **words)
    store.view("top_images", model="acts", module="layer4").fill()
    assert units(store.gc(max_bytes=0)) == {"top_activations": 1, "top_images": 1}
    found = store.gc(max_bytes=0)
    assert (found.units, found.over) == ((), sum(record.nbytes for record in records(store).values()))
    assert units(store.gc(max_bytes=0, views=["imported_contributions"])) == {"imported_contributions": 5}
    assert units(store.gc(older_than=0, views=["neuron_activations"])) == {"neuron_activations": 2}
    assert records(store) == {}


def test_a_recipe_that_cannot_be_read_keeps_its_units(filled: belvedere.Store) -> None:
    for path in (filled.path / "recipes" / "mlp_contributions").rglob("*.json"):
        path.write_bytes(b"{")
    assert "mlp_contributions" not in units(filled.gc(max_bytes=0, dry_run=True))


def test_lists_and_pictures_stay_while_any_version_of_a_name_needs_them(tmp_path: Path) -> None:
    store = belvedere.open(tmp_path / "store")
    pictures = [Image.new("RGB", (8, 8), (shade, 0, 0)) for shade in (10, 20, 30)]
    store.add_images("mine", pictures[:2])
    store.add_images("mine", pictures[:1], replace=True)
    store.remove("mine")
    objects = engine(store).folder.objects
    for path in ("sets/none.parquet", "pictures/none"):
        objects.put(path, b"left by a process that was killed")
    assert store.gc().garbage == ()  # they are young
    found = store.gc(grace=0)
    assert [(each.what, each.count) for each in found.garbage] == [
        ("lists of images and texts that no name needs", 1),
        ("pictures that no name needs", 1),
    ]
    assert len(list(objects.list("pictures/"))) == len(list(objects.list("sets/"))) == 2


def test_pictures_of_a_set_that_is_being_added_are_left_alone(tmp_path: Path) -> None:
    store = belvedere.open(tmp_path / "store")
    seen = []

    def tick(done: int, total: int) -> None:
        seen.append(store.gc(grace=0).garbage)

    store.add_images("mine", [Image.new("RGB", (8, 8), (shade, 0, 0)) for shade in (1, 2)], tick=tick)
    assert seen
    assert not any(seen)
    assert store.verify().damage == ()
    assert store.image("mine", 1).getpixel((0, 0)) == (2, 0, 0)


def test_where_a_name_is_damaged_no_list_and_no_picture_goes(tmp_path: Path) -> None:
    store = belvedere.open(tmp_path / "store")
    store.add_images("mine", [Image.new("RGB", (8, 8))])
    objects = engine(store).folder.objects
    for path in ("sets/none.parquet", "pictures/none"):
        objects.put(path, b"")
    (listed,) = (path for path in (tmp_path / "store" / "sets").iterdir() if path.name != "none.parquet")
    whole = listed.read_bytes()
    listed.write_bytes(whole + b" ")
    found = store.gc(grace=0, dry_run=True)
    assert [each.what for each in found.garbage] == ["lists of images and texts that no name needs"]
    assert found.notes == ("pictures are left alone: a list of images is damaged (belvedere verify)",)
    listed.unlink()
    found = store.gc(grace=0)
    assert found.notes == (
        "lists and pictures are left alone: not every name can be read (belvedere verify)",
    )
    assert (found.garbage, objects.exists("sets/none.parquet")) == ((), True)


def test_marks_are_joined_and_those_of_units_that_are_gone_dropped(filled: belvedere.Store) -> None:
    objects = engine(filled).folder.objects
    keys = [record.unit for record in records(filled).values()]
    for number, key in enumerate([*keys[:3], "gone"]):
        marks = uses.Uses(objects)
        marks._marks[key] = 100.0 + number
        marks.write()
    objects.put("uses/20200101-damaged.json", b"{}")
    assert len(list(objects.list("uses/"))) == 5
    filled.gc(grace=0)
    assert len(list(objects.list("uses/"))) == 1
    assert uses.used(objects) == {key: 100.0 + number for number, key in enumerate(keys[:3])}


def test_marks_are_written_now_and_then_and_never_to_a_store_that_is_only_read(
    filled: belvedere.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects = Objects(filled.path)
    marks, now = uses.Uses(objects), time.time()
    with belvedere.trace() as seen:
        for second in range(200):
            monkeypatch.setattr(time, "time", lambda second=second: now + second)
            marks.mark(f"unit{second % 7}")
    assert len(seen.of("write")) == 3
    reader = uses.uses_of(Objects(filled.path, read_only=True))
    reader.mark("unit")
    reader.write()
    assert set(uses.used(objects)) == {f"unit{number}" for number in range(7)}
    shutil.rmtree(filled.path)
    marks.write()
    assert not filled.path.exists()


def test_what_is_asked_wrongly_is_refused_before_anything_goes(filled: belvedere.Store) -> None:
    before = records(filled)
    wrong: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"max_bytes": "3 apples"}, BadSource, "'3 apples' is not a size; write one as 500MB, 2GB"),
        ({"older_than": "soon"}, BadSource, "'soon' is not a duration; write one as 30d, 12h"),
        ({"max_bytes": 0, "keep": ["head_moment"]}, UnknownName, "did you mean 'head_moments'"),
        ({"max_bytes": 0, "keep": ["tower_maps"], "views": ["tower_maps"]}, BadSource, "both to be kept"),
        ({"views": ["tower_maps"]}, BadSource, "nothing says how many"),
        ({"grace": -1.0}, BadSource, "starts at 0"),
    ]
    for asked, error, message in wrong:
        with pytest.raises(error, match=message):
            filled.gc(**asked)
    reader = belvedere.open(filled.path, mode="r")
    with pytest.raises(ReadOnlyStore, match='open it with mode="a" to collect'):
        reader.gc()
    assert reader.gc(max_bytes=0, dry_run=True).bytes > 0
    assert records(filled) == before


def test_a_catalog_that_is_being_written_and_lists_that_have_no_name_yet_are_left_alone(
    filled: belvedere.Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, found = belvedere.open(tmp_path / "other"), list[tuple[str, object]]()

    def meanwhile(store: belvedere.Store, where: Any, name: str) -> None:
        """Let another process collect after a step, before the next one."""
        step = getattr(where, name)

        def both(*given: Any, **asked: Any) -> Any:
            result = step(*given, **asked)
            found.append((name, belvedere.open(store.path).gc(grace=0).garbage))
            return result

        monkeypatch.setattr(where, name, both)

    meanwhile(filled, publish, "build")
    filled.publish()
    assert (filled.path / "catalog.duckdb").is_file()
    meanwhile(other, Registry, "_keep")
    other.add_texts("few", ["a dog"])
    other.pull(filled.path)
    assert [name for name, garbage in found if garbage] == []
    assert {name for name, _ in found} == {"build", "_keep"}
    assert other.verify().damage == ()
