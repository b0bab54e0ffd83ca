"""Removing and renaming from a shell: a dry run first, and one line that says what happened."""

import json
import shutil
from pathlib import Path

import pytest

from belvedere.query.names.naming import KINDS
from tests.shell import Run


def listed(run: Run, store: Path) -> list[str]:
    found = run("sql", "SELECT image_set FROM image_sets ORDER BY 1", "--store", store, "--json")
    return [row["image_set"] for row in json.loads(found.stdout)]


def test_a_removal_is_a_dry_run_until_told(run: Run, spare: Path, forty: Path) -> None:
    run("add", "images", "twin", forty, "--store", spare)
    dry = run("remove", "scenes", "--store", spare)
    assert dry.stdout.startswith("images scenes: 10 units, ")
    assert dry.stdout.endswith(", stay kept\n  the same contents: twin\n")
    assert (dry.exit_code, dry.stderr) == (0, "Nothing is changed yet: --yes removes the name.\n")
    assert listed(run, spare) == ["scenes", "twin"]
    done = run("remove", "images", "scenes", "--yes", "--store", spare)
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.startswith("images scenes: removed; 10 units, ")
    assert listed(run, spare) == ["twin"]


def test_a_new_name_has_what_was_filled(run: Run, spare: Path) -> None:
    done = run("rename", "scenes", "views", "--store", spare)
    assert (done.exit_code, done.stdout) == (0, "scenes is views now\n")
    rows = json.loads(run("status", "--store", spare, "--json").stdout)
    assert {row["view"]: row["ready"] for row in rows}["head_roles[clip × views × pool]"] == 4


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("remove", "scnes"), "did you mean 'scenes'?"),
        (("remove", "pictures", "scenes"), "'pictures' is no kind of name; kinds are model, images, texts, "),
        (("remove",), "Missing argument"),
        (("remove", "a", "b", "c"), "3 words where 1 or, with the kind first, 2 are due"),
        (("rename", "scenes"), "1 words where 2"),
        (("rename", "scenes", "pool/x"), "cannot name a set of images"),
        (("rename", "images", "scenes", "scenes"), "image set 'scenes' is there already"),
        (("add", "images", "x"), "name a SOURCE or --sql QUERY, one of the two"),
        (("add", "images", "x", "a.png", "--sql", "FROM images"), "one of the two"),
        (("add", "images", "x", "--sql", "SELECT path FROM images"), "it has to answer with image_set and"),
    ],
)
def test_what_cannot_be_done_is_said(words: tuple[str, ...], message: str, run: Run, bare: Path) -> None:
    found = run(*words, "--store", bare)
    assert (found.exit_code, found.stdout) == (2, "")
    assert message in found.stderr


@pytest.mark.parametrize("command", ["remove", "rename"])
def test_every_kind_of_name_can_be_said(command: str, run: Run, bare: Path) -> None:
    told = " ".join(run(command, "--help").stdout.split())
    assert f"({', '.join(KINDS)})" in told
    for kind in KINDS:
        found = run(command, kind, "nothing", *(["new"] if command == "rename" else []), "--store", bare)
        assert "is no kind of name" not in found.stderr
        assert "'nothing'" in found.stderr


def test_a_subset_is_added_by_sql(run: Run, bare: Path) -> None:
    query = "SELECT image_set, image_id FROM images WHERE image_id < 3 ORDER BY image_id DESC"
    found = run("add", "images", "few", "--sql", query, "--store", bare)
    assert (found.exit_code, found.stdout) == (0, "images few: 3, 3 of them new\n")
    assert found.stderr == ""


def test_a_subset_of_an_incomplete_answer_exits_with_1(run: Run, bare: Path) -> None:
    query = "SELECT image_set, 0 AS image_id FROM head_roles WHERE image_set = 'scenes'"
    found = run("add", "images", "few", "--sql", query, "--store", bare)
    assert (found.exit_code, found.stdout) == (1, "")
    assert listed(run, shutil.copytree(bare, bare.parent / "copy")) == ["scenes"]
