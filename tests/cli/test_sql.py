"""Questions from a shell: rows on stdout, completeness on stderr, an exit code for a script."""

import json
from pathlib import Path

import pytest

import belvedere
from tests.shell import Process, Run

HEADS = "SELECT layer, head, role FROM head_roles ORDER BY layer, head"


def test_a_complete_answer_says_so_and_exits_with_0(run: Run, whole: Path) -> None:
    found = run("sql", HEADS, "--store", whole, "--json")
    assert (found.exit_code, found.stderr) == (0, "complete: head_roles 4 of 4 units\n")
    assert [(row["layer"], row["head"]) for row in json.loads(found.stdout)] == [
        (layer, head) for layer in range(4) for head in range(4)
    ]


def test_only_units_that_the_statement_can_touch_are_counted(run: Run, whole: Path) -> None:
    found = run("sql", "SELECT head FROM head_roles WHERE layer = 2", "--store", whole, "--nl")
    assert found.stderr == "complete: head_roles 1 of 1 units\n"


def test_an_incomplete_answer_says_what_is_missing_and_exits_with_1(run: Run, bare: Path) -> None:
    assert run("fill", "head_roles", "--where", "layer = 1", "--store", bare).exit_code == 0
    found = run("sql", "SELECT DISTINCT layer FROM head_roles", "--store", bare, "--csv")
    assert (found.exit_code, found.stdout) == (1, "layer\n1\n")
    assert found.stderr == (
        "incomplete: head_roles lacks 3 of 4 units (clip × scenes × pool) (--fill computes what is missing)\n"
    )


def test_a_view_of_which_nothing_is_filled_is_incomplete(run: Run, bare: Path) -> None:
    found = run("sql", "SELECT count(*) AS n FROM head_roles", "--store", bare, "--csv")
    assert (found.exit_code, found.stdout) == (1, "n\n0\n")
    assert found.stderr.startswith("incomplete: head_roles ")


def test_require_complete_gives_no_rows_rather_than_not_all(run: Run, bare: Path) -> None:
    found = run(
        "sql", "FROM head_roles WHERE model = 'clip'", "--store", bare, "--require-complete", "--json"
    )
    assert (found.exit_code, found.stdout) == (1, "")
    assert found.stderr.startswith("Error: 4 of 4 units of head_roles are missing; ")


def test_the_catalog_is_always_complete(run: Run, whole: Path) -> None:
    found = run("sql", "SELECT model, layers, heads FROM models", "--store", whole, "--nl")
    assert (found.exit_code, found.stderr) == (0, "")
    assert found.stdout == '{"model": "clip", "layers": 4, "heads": 4}\n'


def test_a_table_is_shown_whole_where_there_is_no_terminal(run: Run, whole: Path) -> None:
    shown = run("sql", "SELECT path FROM images WHERE image_id = 7", "--store", whole).stdout.splitlines()
    assert shown[0] == "path"
    assert shown[2].endswith("007.png")
    assert len(shown) == 3


def test_a_table_keeps_to_the_width_that_is_asked(
    run: Run, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    shown = run("sql", "FROM images WHERE image_id < 3", "--store", whole).stdout
    assert len(shown.splitlines()) > 5


@pytest.mark.parametrize(
    ("value", "same"),
    [("star", "'star'"), ('"star"', "'star'"), ("7", "7"), ("true", "true"), ("null", "NULL")],
)
def test_values_are_bound_by_name(value: str, same: str, run: Run, whole: Path) -> None:
    query = f"SELECT $x IS NOT DISTINCT FROM {same} AS same"
    assert run("sql", query, "-p", "x", value, "--store", whole, "--nl").stdout == '{"same": true}\n'


def test_a_value_may_have_the_name_of_an_input(run: Run, whole: Path) -> None:
    query = "SELECT count(*) AS n FROM models WHERE model = $model"
    assert run("sql", query, "-p", "model", "clip", "--store", whole, "--csv").stdout == "n\n1\n"


def test_a_value_that_is_sql_stays_a_value(run: Run, whole: Path) -> None:
    value = "'; DROP TABLE models; --"
    assert run("sql", "SELECT $x AS x", "-p", "x", value, "--store", whole, "--csv").stdout == f"x\n{value}\n"


def test_a_statement_is_read_from_stdin(process: Process, whole: Path) -> None:
    found = process("sql", "-", "--store", whole, "--nl", stdin="-- a comment\nSELECT 'é' AS letter;\n")
    assert (found.returncode, found.stdout, found.stderr) == (0, '{"letter": "é"}\n', "")


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("FROM head_rolls", "no table 'head_rolls'; did you mean 'head_roles'? (belvedere views lists them)"),
        ("FROM head_moments", "head_moments holds an array, which SQL does not show"),
        ("SELECT layr FROM head_roles", 'Referenced column "layr" not found'),
        ("SHOW TABLES", "SHOW is not answered; FROM views lists the views"),
        ("SELECT 1; SELECT 2", "one statement is answered at a time, not 2"),
        ("DROP TABLE models", "only one SELECT (or FROM, WITH) statement is answered"),
        ("", "Error: "),
        ("SELECT $x", "Error: "),
        ("SELECT 1 / 'x'", "Error: Conversion Error"),
    ],
)
def test_a_statement_that_cannot_be_answered_is_refused(
    query: str, message: str, run: Run, whole: Path
) -> None:
    found = run("sql", query, "--store", whole, "--json")
    assert (found.exit_code, found.stdout) == (2, "")
    assert message in found.stderr
    assert found.stderr.startswith("Error: ")
    assert "Traceback" not in found.stderr


def test_two_formats_at_once_are_refused(run: Run, whole: Path) -> None:
    found = run("sql", "SELECT 1", "--store", whole, "--json", "--csv")
    assert (found.exit_code, found.stdout) == (2, "")
    assert "Error: --json and --csv are two formats; name one" in found.stderr


def test_columns_of_one_name_and_no_table_are_kept(run: Run, whole: Path) -> None:
    found = run("sql", "SELECT 1 AS a, 2 AS a, NULL AS b WHERE 1 = 1", "--store", whole, "--csv")
    assert found.stdout == "a,a,b\n1,2,\n"


def test_an_answer_without_a_table_is_the_same_in_every_form(whole: Path) -> None:
    with belvedere.open(whole, mode="r") as store:
        answer = store.sql("SELECT random() AS r, i::TINYINT AS i, 'x' AS i FROM range($n) t(i)", {"n": 3})
        rows = answer.fetchall()
        assert (answer.columns, len(answer), answer.completeness.complete) == (["r", "i", "i"], 3, True)
        assert [str(field.type) for field in answer.arrow().schema] == ["double", "int8", "string"]
        assert list(zip(*(column.to_pylist() for column in answer.arrow().columns), strict=True)) == rows
        assert answer.fetchone() == rows[0]


def test_a_reader_that_goes_away_is_no_error(whole: Path) -> None:
    import subprocess
    import sys

    command = [
        sys.executable,
        "-m",
        "belvedere",
        "sql",
        "FROM range(200000)",
        "--store",
        str(whole),
        "--csv",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        assert running.stdout.readline() == "range\n"
        running.stdout.close()
        assert "Traceback" not in running.stderr.read()
