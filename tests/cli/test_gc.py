"""`belvedere gc` and `belvedere worker` as they are typed."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import belvedere
from belvedere.cli.entry import FAILED, REFUSED
from tests.shell import Process, Run
from tests.worlds import records


def test_gc_says_what_would_go_and_removes_it_when_told(run: Run, spare: Path) -> None:
    whole = records(spare)
    nothing = run("gc", "--store", spare)
    assert (nothing.exit_code, nothing.stderr) == (0, "There is nothing to remove.\n")
    (spare / "damaged").mkdir()
    (spare / "damaged" / "x.json").write_bytes(b"no record")
    told = run("gc", "--max-bytes", "0", "--keep", "head_contributions", "--store", spare)
    assert "units of head_descriptions" in told.stdout
    assert "damaged units and their data" in told.stdout
    assert "head_contributions" not in told.stdout
    assert "too much: the rest is kept (--keep), or goes only where it is named (--view)" in told.stderr
    assert "Nothing is removed yet: --yes frees these " in told.stderr
    assert records(spare) == whole
    done = run("gc", "--max-bytes", "0", "--keep", "head_contributions", "--yes", "--json", "--store", spare)
    rows = json.loads(done.stdout)
    assert {place.split("/")[1] for place in records(spare)} == {"head_contributions"}
    assert sum(row["count"] for row in rows) == 1 + len(whole) - len(records(spare))
    assert {row["what"]: row["used"] is None for row in rows}["damaged units and their data"]


def test_gc_refuses_what_it_does_not_understand(run: Run, spare: Path) -> None:
    said = run("gc", "--older-than", "a while", "--store", spare)
    assert (said.exit_code, said.stderr) == (
        REFUSED,
        "Error: 'a while' is not a duration; write one as 30d, 12h, 15m or 60\n",
    )


def test_what_a_command_has_read_counts_as_used_then(run: Run, process: Process, spare: Path) -> None:
    for path in (spare / "units").rglob("*.json"):
        os.utime(path, (0, 0))
    words = ("sql", "SELECT count(*) FROM head_roles WHERE layer = 2", "--csv", "--store", spare)
    assert process(*words).returncode == 0
    found = run("gc", "--older-than", "1d", "--view", "head_roles", "--json", "--store", spare)
    (row,) = json.loads(found.stdout)
    assert (row["what"], row["count"], row["used"]) == ("head_roles", 3, "1970-01-01 00:00:00+00:00")


def test_a_worker_fills_what_is_missing_and_says_so(run: Run, spare: Path) -> None:
    run("gc", "--max-bytes", "0", "--view", "head_roles", "--yes", "--store", spare)
    layers = 4
    said = run("worker", "--store", spare)
    assert (said.exit_code, said.stdout) == (0, f"{layers} filled, 0 reused, 0 failed, 0 skipped units\n")
    again = run("worker", "head_roles", "--texts", "pool", "--json", "--store", spare)
    counts = {"filled": 0, "reused": 0, "failed": 0, "skipped": 0}
    assert json.loads(again.stdout) == {"counts": counts, "ended": False, "refused": []}


def test_a_worker_is_given_inputs_for_views_that_are_named(run: Run, spare: Path) -> None:
    said = run("worker", "--model", "clip", "--store", spare)
    assert (said.exit_code, "name a VIEW to fill one combination" in said.stderr) == (REFUSED, True)
    wrong = run("worker", "head_rolls", "--store", spare)
    assert (wrong.exit_code, "did you mean 'head_roles'?" in wrong.stderr) == (REFUSED, True)


def test_a_worker_ends_with_3_where_units_failed_and_does_not_try_them_for_ever(
    run: Run, tmp_path: Path, forty: Path
) -> None:
    picture, other = (tmp_path / "photos" / "one.png", sorted(forty.parent.glob("*.png"))[1])
    picture.parent.mkdir()
    shutil.copy(other.with_name("000.png"), picture)
    with belvedere.open(tmp_path / "store") as store:
        store.add_model("clip", "demo:clip")
        store.add_images("photos", picture.parent)
    shutil.copy(other, picture)
    said = run("worker", "head_moments", "--store", tmp_path / "store")
    assert (said.exit_code, said.stdout) == (FAILED, "0 filled, 0 reused, 1 failed, 1 skipped units\n")
    assert "some units failed; belvedere errors lists them" in said.stderr
