"""`belvedere status` for scripts: fresh or not, files looked at or not, failed units tried again or not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.shell import Run
from tests.worlds import picture


@pytest.fixture
def photos(run: Run, bare: Path, tmp_path: Path) -> Path:
    """Three pictures in the store as "photos", embedded."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.png").write_bytes(picture(number))
    run("add", "images", "photos", folder, "--store", bare)
    assert run("fill", "image_embeddings", "--images", "photos", "--store", bare).exit_code == 0
    return folder


def test_what_is_fresh_is_asserted_in_silence(run: Run, bare: Path, photos: Path) -> None:
    found = run("status", "--assert-fresh", "--store", bare)
    assert (found.exit_code, found.stdout, found.stderr) == (0, "", "")


def test_what_is_missing_is_not_fresh(run: Run, bare: Path, photos: Path) -> None:
    words = ("status", "image_embeddings", "--images", "scenes", "--assert-fresh", "--store", bare)
    found = run(*words)
    assert (found.exit_code, found.stdout, found.stderr) == (
        1,
        "",
        "not fresh: image_embeddings[clip × scenes]: 0 of 1 units ready, 1 missing\n",
    )
    assert json.loads(run(*words, "--json").stdout)[0]["missing"] == 1


def test_what_was_never_filled_is_not_fresh(run: Run, bare: Path) -> None:
    found = run("status", "--assert-fresh", "--store", bare)
    assert (found.exit_code, found.stdout) == (1, "")
    assert found.stderr == "not fresh: nothing was ever filled here; name a VIEW to ask about it\n"


def test_a_file_that_changed_is_told_with_what_to_do(run: Run, bare: Path, photos: Path) -> None:
    (photos / "1.png").write_bytes(picture(9))
    cause = (
        f"images changed on disk: 1 of 3 of 'photos', first {photos}/1.png; "
        f"belvedere add images photos {photos} takes this in"
    )
    found = run("status", "--store", bare)
    assert found.exit_code == 1
    assert found.stdout.splitlines()[2:] == [
        "image_embeddings[clip × photos]  0 of 1  18.9 kB      1",
        "",
        "image_embeddings[clip × photos]:",
        f"  {cause}",
    ]
    found = run("status", "--assert-fresh", "--store", bare)
    assert (found.exit_code, found.stdout, found.stderr) == (
        1,
        "",
        f"not fresh: image_embeddings[clip × photos]: 0 of 1 units ready, 1 stale ({cause})\n",
    )
    assert run("status", "--assert-fresh", "--no-disk", "--store", bare).exit_code == 0
    run("add", "images", "photos", photos, "--store", bare)
    run("fill", "image_embeddings", "--images", "photos", "--store", bare)
    assert run("status", "--assert-fresh", "--store", bare).exit_code == 0


def test_other_parameters_than_were_filled_are_told(run: Run, spare: Path) -> None:
    found = run("status", "head_roles", "-p", "alpha", "0.5", "--store", spare, "--json")
    assert [(row["missing"], row["causes"]) for row in json.loads(found.stdout)] == [
        (4, ["never made with alpha=0.5; kept is what was made with alpha=0.05"])
    ]


def test_a_unit_that_failed_is_left_alone_until_told_and_filled_once_the_cause_is_gone(
    run: Run, bare: Path, photos: Path
) -> None:
    words = ("fill", "mlp_contributions", "--images", "photos", "--store", bare)
    (photos / "1.png").rename(photos / "elsewhere")
    assert run(*words).exit_code == 3
    (photos / "elsewhere").rename(photos / "1.png")
    again = run(*words)
    assert (again.exit_code, again.stdout) == (
        3,
        "mlp_contributions: 0 filled, 0 reused, 1 failed, 0 skipped units\n",
    )
    said, reason = again.stderr.splitlines()[-2:]
    assert said == "some units failed; belvedere errors lists them, only --retry-failed tries again"
    assert "cannot be read any more" in reason
    last = run(*words, "--retry-failed")
    assert (last.exit_code, last.stdout) == (
        0,
        "mlp_contributions: 1 filled, 0 reused, 0 failed, 0 skipped units\n",
    )
    assert run("status", "--assert-fresh", "--store", bare).exit_code == 0
