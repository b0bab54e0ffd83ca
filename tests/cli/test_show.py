"""`belvedere show`: pages for people, records for programs."""

import csv
import io
import json
from pathlib import Path

import pytest

from tests.shell import Run


def test_without_a_name_it_lists_what_the_store_holds(run: Run, bare: Path, forty: Path) -> None:
    found = run("show", "--store", bare)
    assert (found.exit_code, found.stderr) == (0, "")
    lines = [line.split("  ") for line in found.stdout.splitlines()]
    assert lines[0][0] == "kind"
    assert [(line[0], line[-1].strip()) for line in lines[2:]] == [
        ("model", "demo:clip"),
        ("images", str(forty)),
        ("texts", "demo:scenes"),
    ]


def test_programs_get_rows_of_the_same(run: Run, bare: Path, forty: Path) -> None:
    rows = json.loads(run("show", "--store", bare, "--json").stdout)
    assert rows[1] == {
        "kind": "images",
        "name": "scenes",
        "holds": "40 images",
        "source": str(forty),
        "count": 40,
    }
    table = list(csv.DictReader(io.StringIO(run("show", "--store", bare, "--csv").stdout)))
    assert [row["name"] for row in table] == ["clip", "scenes", "pool"]
    assert [row["count"] for row in table][:2] == ["", "40"]


def test_an_empty_store_says_what_to_do(run: Run, tmp_path: Path) -> None:
    import belvedere

    store = belvedere.open(tmp_path / "store").path
    assert run("show", "--store", store).stdout.startswith("nothing yet: belvedere add model")
    assert json.loads(run("show", "--store", store, "--json").stdout) == []
    assert run("show", "--store", store, "--csv").stdout == "kind,name,holds,source,count\n"


def test_a_model_is_a_page(run: Run, bare: Path) -> None:
    lines = run("show", "clip", "--store", bare).stdout.splitlines()
    assert lines[0] == "model clip: 4 layers of 4 heads, 65 tokens, 64 dimensions, float32"
    assert "  image weights        7e513496e88839cd5f8445385802c0e776cd9a104c36ae8ce658e3e0c3b7f89e" in lines
    assert "  head dim             32" in lines
    assert not any("checkpoint" in line for line in lines)  # there is none to tell of


def test_images_are_a_page_with_counts_and_the_first_rows(run: Run, bare: Path) -> None:
    page = run("show", "scenes", "--rows", 2, "--store", bare).stdout
    assert page.startswith("images scenes: 40 images\n")
    titles = [line for line in page.splitlines() if line.endswith(":")]
    assert titles == ["sizes:", "labels:", "groups:", "first:"]
    assert len(page.split("first:\n")[1].splitlines()) == 2 + 2


def test_people_get_the_beginning_of_a_long_list_and_programs_all(
    run: Run, bare: Path, tmp_path: Path
) -> None:
    lines = ["text,category", *(f"text {n},category {n:02}" for n in range(30))]
    (tmp_path / "many.csv").write_text("\n".join(lines))
    run("add", "texts", "many", tmp_path / "many.csv", "--store", bare)
    assert "category 11  " in run("show", "many", "--store", bare).stdout
    assert "… and 18 more\n" in run("show", "many", "--store", bare).stdout
    (row,) = json.loads(run("show", "many", "--store", bare, "--json").stdout)
    assert len(row["categories"]) == 30


def test_a_view_is_a_page_that_folds_to_the_terminal(
    run: Run, bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "90")
    page = run("show", "head_descriptions", "--store", bare).stdout
    assert page.startswith("view head_descriptions: The texts that explain most of what each head writes")
    assert max(map(len, page.splitlines()[1:])) <= 90
    assert "  gives   table\n" in page
    monkeypatch.setenv("COLUMNS", "200")
    assert (
        "Descriptions of each head, at most 60." in run("show", "head_descriptions", "--store", bare).stdout
    )


def test_one_line_a_meaning_of_a_name(run: Run, bare: Path, tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("a dog\n")
    run("add", "texts", "scenes", tmp_path / "words.txt", "--store", bare)
    rows = [json.loads(line) for line in run("show", "scenes", "--nl", "--store", bare).stdout.splitlines()]
    assert [(row["kind"], row["count"]) for row in rows] == [("images", 40), ("texts", 1)]
    assert run("show", "scenes", "--store", bare).stdout.count("scenes: ") == 2


def test_a_name_that_is_nothing_is_refused(run: Run, bare: Path) -> None:
    found = run("show", "scene", "--store", bare)
    assert (found.exit_code, found.stdout) == (2, "")
    assert found.stderr == (
        "Error: no model, images, texts or view 'scene'; did you mean 'scenes'? "
        "(belvedere show lists what there is)\n"
    )
