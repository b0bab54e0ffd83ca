"""Filling from a shell: counts, reuse, failures, and an interruption that loses nothing."""

import json
import signal
import time
from pathlib import Path

import pytest

from belvedere.compute.views.head_moments import HeadMoments
from tests.forked import Program
from tests.shell import Run
from tests.worlds import picture

SLOW = """
import pathlib, signal, sys, time
from belvedere.cli import main
from belvedere.compute.images.pictures import Pictures

def fetch(self, path, digest, fast=Pictures.fetch):
    pathlib.Path(sys.argv[-1], "reading").touch()
    time.sleep(0.5)
    return fast(self, path, digest)

Pictures.fetch = fetch
signal.signal(signal.SIGINT, signal.default_int_handler)  # a suite in the background hands on to ignore it
main(["fill", "head_moments", "--json", "--workers", "1", "--store", sys.argv[-1]])
"""


def counts(stdout: str) -> dict[str, int]:
    found: dict[str, int] = json.loads(stdout)["counts"]
    return found


def test_a_fill_prints_one_json_object_and_progress_elsewhere(run: Run, bare: Path) -> None:
    found = run("fill", "head_moments", "--store", bare, "--json")
    facts = json.loads(found.stdout)
    assert facts | {"seconds": 0} == {
        "view": "head_moments",
        "counts": {"filled": 2, "reused": 0, "failed": 0, "skipped": 0},
        "seconds": 0,
    }
    assert (found.exit_code, "head_contributions" in found.stderr) == (0, True)


def test_a_second_fill_reuses_what_the_first_kept(run: Run, spare: Path) -> None:
    found = run("fill", "head_roles", "--store", spare)
    assert (found.exit_code, found.stdout, found.stderr) == (
        0,
        "head_roles: 0 filled, 4 reused, 0 failed, 0 skipped units\n",
        "",
    )


def test_a_condition_fills_only_units_with_such_rows(run: Run, bare: Path) -> None:
    run("fill", "head_roles", "--where", "layer >= 2", "--store", bare)
    state = json.loads(run("status", "head_roles", "--store", bare, "--json").stdout)
    assert [(row["ready"], row["missing"], row["units"]) for row in state] == [(2, 2, 4)]


def test_a_parameter_makes_another_view(run: Run, spare: Path) -> None:
    found = run("fill", "head_roles", "-p", "alpha", "0.5", "--store", spare, "--json")
    assert counts(found.stdout) == {"filled": 4, "reused": 0, "failed": 0, "skipped": 0}


def test_a_plan_says_what_a_fill_would_do_and_does_nothing(run: Run, bare: Path) -> None:
    before = sorted(bare.rglob("*"))
    found = json.loads(run("plan", "head_roles", "--store", bare, "--json").stdout)
    assert [{**row, "bytes": 0} for row in found] == [
        {
            "view": "head_roles",
            "wanted": 4,
            "reused": 0,
            "units": 12,
            "passes": 1,
            "images": 40,
            "bytes": 0,
            "seconds": None,
            "by_view": {
                "head_contributions": 1,
                "head_moments": 1,
                "text_embeddings": 1,
                "tower_maps": 1,
                "head_descriptions": 4,
                "head_roles": 4,
            },
            "work": {},
        }
    ]
    assert sorted(bare.rglob("*")) == before


def test_a_plan_for_people_says_that_nothing_is_left(run: Run, whole: Path) -> None:
    assert run("plan", "head_roles", "--store", whole).stdout == "nothing to compute: all 4 units are ready\n"


def test_status_lists_what_was_ever_filled(run: Run, whole: Path) -> None:
    rows = json.loads(run("status", "--store", whole, "--json").stdout)
    assert [(row["view"], row["ready"], row["units"], row["causes"]) for row in rows] == [
        ("head_contributions[clip × scenes]", 1, 1, []),
        ("head_descriptions[clip × scenes × pool]", 4, 4, []),
        ("head_moments[clip × scenes]", 1, 1, []),
        ("head_roles[clip × scenes × pool]", 4, 4, []),
        ("text_embeddings[clip × pool]", 1, 1, []),
        ("tower_maps[clip]", 1, 1, []),
    ]


def test_status_for_people_leaves_out_what_is_nowhere_the_case(run: Run, spare: Path) -> None:
    table = run("status", "--store", spare).stdout.splitlines()
    assert (table[0].split(), len(table)) == (["view", "ready", "bytes"], 2 + 6)
    assert table[3].startswith("head_descriptions[clip × scenes × pool]  4 of 4  ")
    assert (
        run("fill", "head_roles", "--where", "layer = 0", "-p", "alpha", "0.5", "--store", spare).exit_code
        == 0
    )
    partly = run("status", "head_roles", "-p", "alpha", "0.5", "--store", spare).stdout.splitlines()
    assert partly[0].split() == ["view", "ready", "bytes", "missing"]


def test_status_exits_with_1_where_something_is_stale_or_failed_and_not_for_what_is_missing(
    run: Run, bare: Path, forty: Path, photos: Path
) -> None:
    run("fill", "head_contributions", "--images", "photos", "--store", bare)
    run("fill", "head_roles", "--images", "scenes", "--where", "layer = 0", "--store", bare)
    lacking = run("status", "--store", bare)
    assert ("missing" in lacking.stdout, lacking.exit_code) == (True, 0)
    (photos / "0.png").write_bytes((forty.parent / "005.png").read_bytes())
    run("add", "images", "photos", photos, "--store", bare)
    stale = run("status", "--store", bare, "--json")
    assert (stale.exit_code, sum(row["stale"] for row in json.loads(stale.stdout))) == (1, 1)
    assert run("status", "head_roles", "--images", "scenes", "--store", bare).exit_code == 0
    (photos / "2.png").write_bytes(picture(0))
    run("add", "images", "photos", photos, "--store", bare)
    (photos / "2.png").unlink()
    run("fill", "head_contributions", "--images", "photos", "--store", bare)
    failed = run("status", "head_contributions", "--images", "photos", "--store", bare, "--json")
    assert (failed.exit_code, json.loads(failed.stdout)[0]["failed"]) == (1, 1)


@pytest.fixture
def photos(run: Run, bare: Path, forty: Path, tmp_path: Path) -> Path:
    """Three files in the store as "photos", of which the second is no picture."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.png").write_bytes((forty.parent / f"00{number}.png").read_bytes())
    (folder / "1.png").write_bytes(b"no picture")
    assert run("add", "images", "photos", folder, "--store", bare).exit_code == 0
    return folder


def test_an_image_that_cannot_be_read_is_told_and_the_rest_is_there(
    run: Run, bare: Path, photos: Path
) -> None:
    found = run("fill", "head_contributions", "--images", "photos", "--store", bare, "--json")
    assert (found.exit_code, counts(found.stdout)["failed"]) == (0, 0)
    assert "1 images or texts were left out; the rest is there" in found.stderr
    rows = json.loads(run("errors", "--store", bare, "--json").stdout)
    assert [(row["view"], row["image_set"], row["row"], row["path"]) for row in rows] == [
        ("head_contributions", "photos", 1, str(photos / "1.png"))
    ]
    assert run("errors", "--store", bare).stdout.splitlines()[0].split() == [
        *("view", "model", "image_set", "row", "path", "error", "message")
    ]


def test_an_image_that_went_away_fails_its_unit(run: Run, bare: Path, photos: Path) -> None:
    (photos / "2.png").unlink()
    found = run("fill", "head_contributions", "--images", "photos", "--store", bare, "--json")
    assert (found.exit_code, counts(found.stdout)["failed"]) == (3, 1)
    assert f"{photos / '2.png'} cannot be read any more" in run("errors", "--store", bare).stdout


@pytest.mark.parametrize(
    "words", [("describe", "a star"), ("top", "3.0"), ("export", "image_embeddings", "a.npy")]
)
def test_a_command_that_lacks_a_unit_that_failed_says_so_by_its_exit_code(
    run: Run, bare: Path, photos: Path, words: tuple[str, ...]
) -> None:
    (photos / "2.png").unlink()
    found = run(*words, "--images", "photos", "--store", bare)
    assert (found.exit_code, found.stdout) == (3, "")
    (said,) = (line for line in found.stderr.splitlines() if line.startswith("Error: "))
    assert f"could not be made: {photos / '2.png'} cannot be read any more" in said


def test_a_unit_that_fails_is_recorded_and_tried_again_when_told(
    run: Run, bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("fill", "head_roles", "--store", bare, "--json")
    with monkeypatch.context() as broken:
        broken.setattr(HeadMoments, "derive", lambda *_: 1 / 0)
        first = run(*words)
    assert first.exit_code == 3
    assert counts(first.stdout) == {"filled": 3, "reused": 0, "failed": 1, "skipped": 8}
    assert "some units failed; belvedere errors lists them" in first.stderr
    (told,) = json.loads(run("errors", "--store", bare, "--json").stdout)
    assert (told["view"], told["row"], told["error"]) == ("head_moments", None, "ZeroDivisionError")
    again = run(*words)
    assert (again.exit_code, counts(again.stdout)["failed"]) == (3, 1)
    last = run(*words, "--retry-failed")
    assert (last.exit_code, counts(last.stdout)["filled"]) == (0, 9)
    assert run("errors", "--store", bare).stdout == "no errors\n"


def test_damage_is_found_listed_and_filled_again(run: Run, spare: Path) -> None:
    sound = run("verify", "--store", spare, "--json")
    assert (sound.exit_code, sound.stdout) == (0, "[]\n")
    assert "all as they were written" in sound.stderr
    part = next((spare / "data" / "head_roles").rglob("part.parquet"))
    data = bytearray(part.read_bytes())
    data[len(data) // 2] ^= 1
    part.write_bytes(data)
    found = run("verify", "--store", spare, "--json")
    assert found.exit_code == 1
    assert [row["view"] for row in json.loads(found.stdout)] == ["head_roles"]
    assert "1 object is damaged" in found.stderr
    assert run("sql", "SELECT count(*) FROM head_roles", "--store", spare).exit_code == 1
    assert run("fill", "head_roles", "--store", spare).stdout.startswith("head_roles: 1 filled, 3 reused")
    assert run("verify", "--store", spare).exit_code == 0


def test_an_interrupted_fill_keeps_what_it_finished_and_holds_no_claim(run: Run, bare: Path) -> None:
    running = Program(["-c", SLOW, str(bare)])
    while not (bare / "reading").exists():
        assert running.poll() is None, running.ended()
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    done = running.ended(60)
    assert (done.returncode, done.stdout) == (130, "")
    last = done.stderr.splitlines()[-1]
    assert last == "Interrupted: what is finished is kept, and the same command goes on."
    assert "Traceback" not in done.stderr
    assert [each for each in (bare / "claims").rglob("*") if each.is_file()] == []
    assert run("fill", "head_moments", "--store", bare).stdout.startswith("head_moments: 2 filled, 0 reused")
