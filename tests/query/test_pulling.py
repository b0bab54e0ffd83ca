"""Units of another store: taken over by key, verified, and never computed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import belvedere
from belvedere.query.exchange.pull import Pulled
from belvedere.store.errors import BadSource, NewerFormat, NotAStore, ReadOnlyStore
from tests.query.test_damage import cut, damage, flip, remove
from tests.readme import ROOT
from tests.worlds import TEXTS, World, contents, make_clip, orphans, records

NAMES = ("model m", "images photos", "texts words")


def total(store: belvedere.Store) -> int:
    return sum(record.nbytes for record in records(store).values())


def snapshot(path: Path) -> dict[str, bytes]:
    return {str(each.relative_to(path)): each.read_bytes() for each in path.rglob("*") if each.is_file()}


def test_all_units_and_names_are_taken_over(kept: belvedere.Store, tmp_path: Path) -> None:
    mine = belvedere.open(tmp_path / "mine")
    before = snapshot(kept.path)
    planned = mine.pull(kept.path, dry_run=True)
    assert records(mine) == {}
    found = mine.pull(kept.path)
    assert found == planned == Pulled(len(records(kept)), total(kept), 0, 0, NAMES, (), ())
    assert contents(mine) == contents(kept)
    assert orphans(mine) == []
    assert snapshot(kept.path) == before
    assert mine.verify().damage == ()
    query = "FROM head_descriptions"
    answer = mine.sql(query, require_complete=True)
    assert answer.fetchall() == kept.sql(query).fetchall()
    assert [str(each) for each in mine.status()] == [str(each) for each in kept.status()]


def test_pulling_twice_takes_nothing_the_second_time(kept: belvedere.Store, tmp_path: Path) -> None:
    mine = belvedere.open(tmp_path / "mine")
    mine.pull(kept.path)
    before = snapshot(mine.path)
    assert mine.pull(kept.path) == Pulled(0, 0, len(records(kept)), 0, (), (), ())
    assert snapshot(mine.path) == before


def test_a_read_after_a_pull_computes_nothing_also_under_other_names(
    world: World, kept: belvedere.Store, tmp_path: Path
) -> None:
    mine = belvedere.open(tmp_path / "mine")
    mine.add_model("tower", world.source)
    mine.add_images("pictures", Path(shutil.copytree(world.photos, tmp_path / "elsewhere")))
    mine.add_texts("phrases", TEXTS)
    found = mine.pull(kept.path, "head_descriptions", model="tower")
    assert (found.units, found.reused, found.lacking, found.names) == (2, 0, 0, ())
    assert mine.pull(kept.path, "head_contributions").units == 3  # two blocks, and the tower's maps
    code = (
        "import sys, numpy, belvedere\n"
        "with belvedere.trace() as seen:\n"
        "    store = belvedere.open(sys.argv[1])\n"
        "    rows = store.view('head_descriptions').df()\n"
        "    array = store.view('head_contributions')[...]\n"
        "    told = store.sql('FROM head_descriptions', require_complete=True)\n"
        "numpy.save(sys.argv[2], array)\n"
        "print(len(rows), len(told), seen.of('compute'), seen.of('load'))\n"
    )
    dest = tmp_path / "read.npy"
    done = subprocess.run(
        [sys.executable, "-c", code, mine.path, dest],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    rows = len(kept.view("head_descriptions").df())
    assert done.stdout == f"{rows} {rows} [] []\n"
    np.testing.assert_array_equal(np.load(dest), kept.view("head_contributions")[...])


def test_combinations_are_found_under_the_names_that_stand_for_the_same_here(
    world: World, kept: belvedere.Store, tmp_path: Path
) -> None:
    mine = belvedere.open(tmp_path / "mine")
    mine.add_model("m", make_clip_of_another_seed(tmp_path))
    mine.add_model("tower", world.source)
    found = mine.pull(kept.path)
    assert (found.names, found.left) == (NAMES[1:], ("model m",))
    rows = mine.sql(
        "SELECT DISTINCT model, image_set, text_set FROM head_descriptions", require_complete=True
    )
    assert rows.fetchall() == [("tower", "photos", "words")]


def make_clip_of_another_seed(folder: Path) -> str:
    return f"open_clip:local-dir:{make_clip(folder / 'other', seed=1)}"


def test_a_name_that_stands_for_something_else_is_left(kept: belvedere.Store, tmp_path: Path) -> None:
    mine = belvedere.open(tmp_path / "mine")
    mine.add_texts("words", ["something else"])
    found = mine.pull(kept.path)
    assert (found.names, found.left) == (NAMES[:2], ("texts words",))
    assert mine.sql("SELECT text FROM texts").fetchall() == [("something else",)]
    assert mine.view("head_contributions").status().ready == 2


def test_only_what_a_view_lacks_is_taken(world: World, kept: belvedere.Store, tmp_path: Path) -> None:
    mine = world.store(tmp_path / "mine")
    mine.view("head_descriptions").where("layer = 0").fill()
    before = contents(mine)
    found = mine.pull(kept.path, "head_descriptions")
    assert (found.units, found.reused, found.lacking) == (1, 1, 0)
    assert before.items() <= contents(mine).items()
    assert mine.view("head_descriptions").plan().units == 0


def test_what_the_other_store_lacks_too_is_said(world: World, tmp_path: Path) -> None:
    theirs, mine = world.store(tmp_path / "theirs"), world.store(tmp_path / "mine")
    theirs.view("head_descriptions").where("layer = 0").fill()
    found = mine.pull(theirs.path, "head_descriptions")
    assert (found.units, found.reused, found.lacking) == (1, 0, 1)
    assert mine.sql("FROM head_descriptions").completeness.complete is False


@pytest.mark.parametrize("harm", [damage, cut, remove])
def test_what_does_not_verify_is_not_taken_and_listed(
    harm: Any, filled: belvedere.Store, tmp_path: Path
) -> None:
    path, record = next(item for item in records(filled).items() if "/head_contributions/" in item[0])
    last = f"{record.attempt}/{record.objects[-1].path}"
    harm(filled.path / last)
    mine = belvedere.open(tmp_path / "mine")
    found = mine.pull(filled.path)
    assert found.units == len(records(filled)) - 1
    assert [each.partition(": ")[0] for each in found.damaged] == [last]
    assert path not in records(mine)
    assert orphans(mine) == []
    assert (filled.path / path).exists()  # nothing is written there, not even that it is damaged


def test_a_damaged_record_recipe_or_name_is_listed(filled: belvedere.Store, tmp_path: Path) -> None:
    record = next(iter(records(filled)))
    recipe = next(filled.path.glob("recipes/head_descriptions/m/photos/words/*.json"))
    entries = next((filled.path / "sets").iterdir())
    flip(filled.path / record, 4000)
    flip(recipe, 803)
    damage(entries)
    mine = belvedere.open(tmp_path / "mine")
    found = mine.pull(filled.path)
    assert f"{record}: its bytes changed" in found.damaged
    assert f"{recipe.relative_to(filled.path)}: its bytes changed" in found.damaged
    assert len(found.damaged) == 3
    assert len(found.names) == 2


def test_what_is_pulled_keeps_where_it_comes_from(kept: belvedere.Store, tmp_path: Path) -> None:
    mine, third = belvedere.open(tmp_path / "mine"), belvedere.open(tmp_path / "third")
    mine.pull(kept.path)
    third.pull(mine.path)
    path, before = next(iter(records(kept).items()))
    after = records(third)[path]
    assert {key: value for key, value in after.made.items() if key != "pulled"} == before.made
    assert [each["from"] for each in after.made["pulled"]] == [str(kept.path), str(mine.path)]
    assert (after.covers, after.facts, after.absent) == (before.covers, before.facts, before.absent)
    told = str(third.lineage("head_descriptions", where="layer = 1 AND rank = 0"))
    assert f"pulled from {mine.path}" in told
    assert told.replace(f"; pulled from {mine.path}", "") == str(
        kept.lineage("head_descriptions", where="layer = 1 AND rank = 0")
    )


def test_pictures_that_are_kept_there_come_along(world: World, tmp_path: Path) -> None:
    theirs = world.store(tmp_path / "theirs")
    theirs.add_images("own", [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue", "red")])
    mine = belvedere.open(tmp_path / "mine")
    mine.pull(theirs.path)
    shutil.rmtree(theirs.path)
    assert mine.image("own", 1).getpixel((0, 0)) == (0, 0, 255)
    assert mine.image("own", 2).getpixel((0, 0)) == (255, 0, 0)
    assert mine.verify().damage == ()


def test_a_failure_that_is_settled_by_a_pull_is_forgotten(kept: belvedere.Store, tmp_path: Path) -> None:
    mine = belvedere.open(tmp_path / "mine")
    path = next(iter(records(kept)))
    failure = mine.path / path.replace("units/", "failures/", 1)
    failure.parent.mkdir(parents=True)
    failure.write_text("[]")
    mine.pull(kept.path)
    assert not failure.exists()


def test_what_is_no_store_or_this_one_is_refused(kept: belvedere.Store, tmp_path: Path) -> None:
    mine = belvedere.open(tmp_path / "mine")
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotAStore, match=r"empty holds no Belvedere store"):
        mine.pull(tmp_path / "empty")
    with pytest.raises(BadSource, match="is this store itself"):
        mine.pull(mine.path)
    with pytest.raises(BadSource, match=r"model=… goes with a view"):
        mine.pull(kept.path, model="m")
    newer = Path(shutil.copytree(kept.path, tmp_path / "newer"))
    (newer / "belvedere.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(NewerFormat, match="has format 99"):
        mine.pull(newer)
    shut = belvedere.open(mine.path, mode="r")
    with pytest.raises(ReadOnlyStore, match="nothing can be pulled into it"):
        shut.pull(kept.path)
    assert shut.pull(kept.path, dry_run=True).units == len(records(kept))
