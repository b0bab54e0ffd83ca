"""`belvedere import labels`, `export exemplars` and `remove import`, as a shell sees them."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from belvedere.cli.import_labels import FORMATS
from belvedere.compute.label_files import ADAPTERS
from tests.label_files import written
from tests.shell import Run

GELU = "visual.transformer.resblocks.3.mlp.gelu"
LABELS = "Neuron ID,Label 1,Label 2\n3,round lids,null\n17,,nan\n600,too far,away\nx,no,number\n"


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    return written(tmp_path, LABELS, "layer.csv")


def test_labels_are_shown_first_and_then_taken_in_once(run: Run, bare: Path, labels: Path) -> None:
    words = (
        "import",
        "labels",
        labels,
        "--model",
        "clip",
        "--method",
        "dnd",
        "--module",
        GELU,
        "--store",
        bare,
    )
    seen = run(*words, "--preview")
    key = seen.stdout.split("import ")[-1][:16]
    assert seen.exit_code == 0
    assert seen.stdout.splitlines() == [
        "layer.csv (dnd 1): 2 of 4 rows were read, and make 4 of imported_labels",
        "module                                   neuron  rank  label       status",
        "───────────────────────────────────────  ──────  ────  ──────────  ──────",
        f"{GELU}       3     0  round lids  ok",
        f"{GELU}       3     1  null        ok",
        f"{GELU}      17     0              blank",
        f"{GELU}      17     1  nan         ok",
        f"import {key}: a preview, nothing is written",
    ]
    assert seen.stderr.splitlines() == [
        f"  line 4: neuron 600, from 0, is beyond the 512 neurons of '{GELU}'",
        "  line 5: neuron id 'x' is no whole number",
    ]
    assert run("sql", "FROM imports", "--nl", "--store", bare).stdout == ""
    assert run(*words).stdout.splitlines()[-1] == f"import {key}: written"
    assert run(*words).stdout.splitlines()[-1] == f"import {key}: already there"
    query = "SELECT neuron, rank, label, status FROM imported_labels"
    rows = [json.loads(line) for line in run("sql", query, "--nl", "--store", bare).stdout.splitlines()]
    assert [tuple(row.values()) for row in rows] == [
        (3, 0, "round lids", "ok"),
        (3, 1, "null", "ok"),
        (17, 0, None, "blank"),
        (17, 1, "nan", "ok"),
    ]
    assert run("verify", "--store", bare).exit_code == 0


def test_json_is_one_object_with_the_rejects(run: Run, bare: Path, labels: Path) -> None:
    words = (
        "import",
        "labels",
        labels,
        "--model",
        "clip",
        "--method",
        "dnd",
        "--module",
        GELU,
        "--store",
        bare,
    )
    told = json.loads(run(*words, "--preview", "--json").stdout)
    assert (told["rows_ok"], told["written"], told["there"], told["format"]) == (2, False, False, "dnd 1")
    assert told["rejects"][1] == {
        "line": 5,
        "raw": "x,no,number",
        "reason": "neuron id 'x' is no whole number",
    }
    assert [row["label"] for row in told["first"]] == ["round lids", "null", None, "nan"]


def test_layers_are_said_one_by_one(run: Run, bare: Path, tmp_path: Path) -> None:
    file = written(tmp_path, "layer,unit,summary\na,0,red\na,0,rose\nb,1,blue\n")
    words = ("import", "labels", file, "--model", "clip", "--method", "people", "--store", bare)
    found = run(*words, "--module", f"a={GELU}")
    assert found.exit_code == 0
    assert found.stderr.splitlines() == ["Rows of layers that were not asked for: b (1)"]
    assert "     0  red    ok              0" in found.stdout
    assert "     0  rose   ok              1" in found.stdout
    refused = run(*words, "--module", GELU, "--module", f"a={GELU}")
    assert (refused.exit_code, f"--module {GELU}: of several, each is LAYER=MODULE" in refused.stderr) == (
        2,
        True,
    )
    unsaid = run(*words)
    assert (unsaid.exit_code, "'a' is no module of 'clip': say which one it is" in unsaid.stderr) == (2, True)


def test_who_calls_a_method_as_one_of_ours_is_told_which_labels_are_judged(
    run: Run, bare: Path, labels: Path
) -> None:
    words = ("import", "labels", labels, "--model", "clip", "--module", GELU, "--store", bare)
    told = run(*words, "--method", "invert").stderr
    assert "label_evaluations -p method invert judges the labels that are made here" in told
    assert "label_evaluations" not in run(*words, "--method", "theirs").stderr


def test_a_first_unit_that_is_wrong_is_refused_with_the_option(run: Run, bare: Path, tmp_path: Path) -> None:
    file = written(tmp_path, "Neuron ID,label\n" + "".join(f"{unit},a\n" for unit in range(1, 513)))
    words = (
        "import",
        "labels",
        file,
        "--model",
        "clip",
        "--method",
        "dnd",
        "--module",
        GELU,
        "--store",
        bare,
    )
    refused = run(*words)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "they count from 1; say base=1 (--base 1)" in refused.stderr
    assert run(*words, "--base", "1").stdout.startswith("labels.csv (dnd 1): 512 of 512 rows were read")


def test_an_import_is_removed_by_its_key_alone(run: Run, bare: Path, labels: Path) -> None:
    words = (
        "import",
        "labels",
        labels,
        "--model",
        "clip",
        "--method",
        "dnd",
        "--module",
        GELU,
        "--store",
        bare,
    )
    key = json.loads(run(*words, "--json").stdout)["import_id"]
    dry = run("remove", "import", key, "--store", bare)
    assert (dry.exit_code, dry.stdout) == (0, f"import {key}: 2 rows of layer.csv\n")
    assert dry.stderr == "Nothing is changed yet: --yes removes the import.\n"
    assert run("sql", "FROM imports", "--nl", "--store", bare).stdout.count("\n") == 1
    done = run("remove", "import", key, "--yes", "--store", bare)
    assert (done.stdout, done.stderr) == (f"import {key}: removed; 2 rows of layer.csv\n", "")
    again = run("remove", "import", key, "--yes", "--store", bare)
    assert (again.exit_code, f"no import '{key}'" in again.stderr) == (2, True)


def test_exemplars_go_out_in_milans_layout(run: Run, bare: Path, tmp_path: Path) -> None:
    words = (
        "export",
        "exemplars",
        "--model",
        "clip",
        "--images",
        "scenes",
        "--module",
        GELU,
        "--neuron",
        260,
    )
    more = ("--neuron", 3, "-k", 4, "--side", 32, "--out", tmp_path / "out", "--store", bare)
    done = run(*words, *more)
    assert done.exit_code == 0
    assert done.stdout.startswith(
        f"{tmp_path / 'out' / GELU}: 2 neurons, 4 images of 32 pixels each, 33.5 kB"
    )
    assert np.load(tmp_path / "out" / GELU / "images.npy").shape == (2, 4, 3, 32, 32)
    query = (
        f"SELECT neuron, image_id FROM top_images WHERE module = '{GELU}' AND neuron IN (3, 260) AND rank < 4"
    )
    rows = run("sql", f"{query} ORDER BY neuron DESC, rank", "--csv", "--store", bare).stdout.splitlines()[1:]
    with (tmp_path / "out" / GELU / "ids.csv").open() as file:
        ids = [each for row in csv.reader(file) for each in row]
    assert [row.split(",")[1] for row in rows] == ids
    again = run(*words, *more)
    assert (again.exit_code, "is there already" in again.stderr) == (2, True)
    told = json.loads(run(*words, *more, "--overwrite", "--json").stdout)
    assert (told["neurons"], told["k"], told["side"], told["masked"]) == (2, 4, 32, False)


def test_the_word_exemplars_leads_to_a_command_of_its_own(run: Run) -> None:
    shown = run("export", "exemplars", "--help")
    assert shown.stdout.startswith("Usage: belvedere export exemplars [OPTIONS]")
    assert "exemplars" in run("export", "--help").stdout
    assert run("export", "head_roles").exit_code == 2


def test_the_command_knows_the_formats_that_there_are() -> None:
    assert set(FORMATS) == set(ADAPTERS)
