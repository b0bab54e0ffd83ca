"""`belvedere import arrays`: what it says, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.shell import SCENES, Run
from tests.worlds import picture

ACTS = np.arange(SCENES * 3, dtype=np.float32).reshape(SCENES, 3)


@pytest.fixture
def acts(tmp_path: Path) -> Path:
    np.save(tmp_path / "acts.npy", ACTS)
    return tmp_path / "acts.npy"


def test_an_import_says_what_it_took_and_is_asked_in_sql(run: Run, bare: Path, acts: Path) -> None:
    words = ("import", "arrays", "rn50", acts, "--images", "scenes", "--module", "layer4", "--store", bare)
    first = run(*words, "--pool", "max", "--note", "by hand")
    assert (first.exit_code, first.stdout) == (
        0,
        "neuron_activations[rn50 × scenes × layer4]: image × neuron = 40 × 3, float32 in the file\n"
        "1 units written, 0 reused\n",
    )
    assert run(*words, "--pool", "max").stdout.splitlines()[1] == "0 units written, 1 reused"
    asked = ("top_images", "--model", "rn50", "-p", "module", "layer4", "-p", "pool", "max", "--store", bare)
    assert run("fill", *asked).exit_code == 0
    query = "SELECT neuron, image_id, activation FROM top_images WHERE rank = 0 ORDER BY neuron"
    rows = [json.loads(line) for line in run("sql", query, "--nl", "--store", bare).stdout.splitlines()]
    assert rows == [{"neuron": n, "image_id": 39, "activation": 117.0 + n} for n in range(3)]
    status = run("status", "--csv", "--store", bare).stdout.splitlines()
    assert [line.split(",")[:3] for line in status[1:]] == [
        ["neuron_activations[rn50 × scenes × layer4]", "1", "1"],
        ["top_activations[rn50 × scenes × layer4]", "1", "1"],
        ["top_images[rn50 × scenes × layer4]", "1", "1"],
    ]


def test_contributions_are_taken_by_their_kind(run: Run, bare: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "prs.npy", np.ones((SCENES, 2, 3, 4), np.float32))
    words = (
        "import",
        "arrays",
        "b16",
        tmp_path / "prs.npy",
        "--images",
        "scenes",
        "--contributions",
        "heads",
    )
    found = run(*words, "--store", bare)
    assert found.stdout.splitlines()[0] == (
        "imported_contributions[b16 × scenes × heads]: image × layer × head × joint = 40 × 2 × 3 × 4, "
        "float32 in the file"
    )
    assert run("verify", "--store", bare).exit_code == 0


def test_rows_of_nan_are_told_on_stderr(run: Run, bare: Path, acts: Path) -> None:
    np.save(acts, np.where(np.arange(SCENES)[:, None] == 5, np.nan, ACTS))
    words = ("import", "arrays", "rn50", acts, "--images", "scenes", "--module", "layer4", "--store", bare)
    refused = run(*words)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "row 5 of acts.npy is all NaN; absent_nan=True (--absent-nan)" in refused.stderr
    taken = run(*words, "--absent-nan")
    assert (taken.exit_code, taken.stderr.splitlines()[-1]) == (
        0,
        "1 rows are NaN; belvedere errors lists them",
    )
    assert "its row in acts.npy is NaN" in run("errors", "--store", bare).stdout


def test_what_is_missing_of_an_import_is_refused_and_not_computed(
    run: Run, bare: Path, acts: Path, forty: Path, tmp_path: Path
) -> None:
    words = ("import", "arrays", "rn50", acts, "--images", "scenes", "--module", "layer4", "--store", bare)
    assert run(*words).exit_code == 0
    new = tmp_path / "new.png"
    new.write_bytes(picture(1))
    assert (
        run("add", "images", "more", *sorted(forty.parent.glob("*.png")), new, "--store", bare).exit_code == 0
    )
    asked = ("neuron_activations", "--model", "rn50", "--images", "more", "-p", "module", "layer4")
    for command, code in (("fill", 2), ("plan", 0)):
        found = run(command, *asked, "--store", bare)
        assert found.exit_code == code
        assert "a row for each of the 41 images of 'more'" in found.output


def test_the_file_has_to_be_said_to_hold_one_thing(run: Run, bare: Path, acts: Path) -> None:
    words = ("import", "arrays", "rn50", acts, "--images", "scenes", "--store", bare)
    for more in ((), ("--module", "layer4", "--contributions", "heads")):
        found = run(*words, *more)
        assert found.exit_code == 2
        assert "say what FILE holds: --module NAME, or --contributions KIND" in found.stderr
    missing = run("import", "arrays", "rn50", acts, "--module", "layer4", "--store", bare)
    assert (missing.exit_code, "Missing option '--images'" in missing.stderr) == (2, True)
