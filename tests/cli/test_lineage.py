"""The lineage of numbers, in a shell."""

import json
from pathlib import Path

import belvedere
from tests.shell import Run


def test_it_prints_the_tree_that_python_prints(run: Run, whole: Path) -> None:
    where = "layer = 3 AND head = 1"
    found = run("lineage", "head_descriptions", "--where", where, "--store", whole)
    assert (found.exit_code, found.stderr) == (0, "")
    assert found.stdout == f"{belvedere.open(whole).lineage('head_descriptions', where=where)}\n"
    assert found.stdout.startswith("20 rows where layer = 3 AND head = 1:\n  layer 3, head 1, rank 0, ")


def test_as_json_it_has_every_unit(run: Run, whole: Path) -> None:
    found = run("lineage", "head_roles", "--model", "clip", "-p", "share", "0.8", "--json", "--store", whole)
    expected = belvedere.open(whole).lineage("head_roles").to_dict()
    assert (found.exit_code, json.loads(found.stdout)) == (0, json.loads(json.dumps(expected)))


def test_units_that_are_not_there_show_in_the_exit_code(run: Run, bare: Path) -> None:
    found = run("lineage", "head_roles", "--store", bare)
    assert found.exit_code == 1
    assert "4 of 4 units (layer 0:4); all missing" in found.stdout


def test_an_array_has_no_rows_to_choose(run: Run, bare: Path) -> None:
    found = run("lineage", "head_moments", "--where", "layer = 1", "--store", bare)
    assert (found.exit_code, found.stdout) == (2, "")
    assert "where=… narrows views that are tables" in found.stderr
