"""Rows in the four formats: whole values in, whole texts out."""

import datetime
import decimal
import json

import pytest

from belvedere.cli.formats import Rows, encoded, show, size
from belvedere.cli.layout import layout

ROWS = Rows(["name", "count", "share"], [["a", 1, 0.5], ["ß×", None, float("nan")]])


def test_json_is_a_list_of_objects_in_which_nan_is_null(capsys: pytest.CaptureFixture[str]) -> None:
    show(ROWS, "json")
    assert json.loads(capsys.readouterr().out) == [
        {"name": "a", "count": 1, "share": 0.5},
        {"name": "ß×", "count": None, "share": None},
    ]


def test_nl_is_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    show(ROWS, "nl")
    assert capsys.readouterr().out == (
        '{"name": "a", "count": 1, "share": 0.5}\n{"name": "ß×", "count": null, "share": null}\n'
    )


def test_csv_has_a_header_and_leaves_null_empty(capsys: pytest.CaptureFixture[str]) -> None:
    show(Rows(["a", "b, c"], [[1, 'say "x"'], [None, [1, 2]]]), "csv")
    assert capsys.readouterr().out == 'a,"b, c"\n1,"say ""x"""\n,"[1, 2]"\n'


@pytest.mark.parametrize(("form", "nothing"), [("json", "[]\n"), ("nl", ""), ("csv", "a\n")])
def test_no_rows_are_written_in_every_format(
    form: str, nothing: str, capsys: pytest.CaptureFixture[str]
) -> None:
    show(Rows(["a"], []), form)
    assert capsys.readouterr().out == nothing


def test_columns_of_one_name_keep_their_values_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    show(Rows(["a", "a", "a_2"], [[1, 2, 3]]), "nl")
    assert capsys.readouterr().out == '{"a": 1, "a_2": 2, "a_2_2": 3}\n'


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (decimal.Decimal("5"), "5"),
        (decimal.Decimal("0.25"), "0.25"),
        (float("-inf"), "null"),
        (datetime.date(2024, 2, 29), '"2024-02-29"'),
        (b"\x00\xff", '"00ff"'),
        ({"a": [float("nan"), True]}, '{"a": [null, true]}'),
        ((1, "x"), '[1, "x"]'),
    ],
)
def test_values_that_json_lacks_are_written_as_what_it_has(value: object, written: str) -> None:
    assert encoded(value) == written


def test_only_the_table_shows_what_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    bare, shown = Rows(["a", "b"], [[1, 2]]), Rows(["a"], [[1]])
    show(bare, "csv", people=shown)
    show(bare, "table", people=shown)
    assert capsys.readouterr().out == "a,b\n1,2\na\n─\n1\n"


def test_numbers_stand_to_the_right_and_texts_to_the_left() -> None:
    assert layout(["text", "n"], [["a", 5], ["bcdef", 1234]]) == (
        "text      n\n─────  ────\na         5\nbcdef  1234\n"
    )


def test_a_column_of_numbers_has_the_places_that_it_needs() -> None:
    rows: list[list[float | None]] = [[0.6662, 1.5, 1.0, 38578.02457], [0.5, 2.25, 2.0, None]]
    assert layout(["a", "b", "c", "d"], rows) == (
        "     a     b  c         d\n"
        "──────  ────  ─  ────────\n"
        "0.6662  1.50  1  38578.02\n"
        "0.5000  2.25  2          \n".replace("          \n", "\n")
    )


def test_a_small_number_is_not_rounded_to_nothing() -> None:
    assert layout(["p"], [[0.5], [3.2e-9], [0.0], [float("nan")]]) == (
        "      p\n───────\n    0.5\n3.2e-09\n    0.0\n    nan\n"
    )


def test_whole_numbers_are_not_rounded_whatever_their_size() -> None:
    assert layout(["n"], [[2**70], [-1]]) == f"{'n':>22}\n{'─' * 22}\n{2**70}\n{'-1':>22}\n"


def test_without_a_width_nothing_is_folded() -> None:
    text = "word " * 100
    assert layout(["text"], [[text]]).splitlines()[2] == text.rstrip()


def test_long_texts_are_folded_to_a_width_and_numbers_are_not() -> None:
    folded = layout(["text", "number"], [["one two three four five six", 123456789], ["x", 1]], 30)
    assert folded == (
        "text                    number\n"
        "───────────────────  ─────────\n"
        "one two three four   123456789\n"
        "five six\n"
        "x                            1\n"
    )


def test_wide_characters_keep_columns_in_line() -> None:
    assert layout(["a", "b"], [["猫", "x"], ["cat", "y"]]) == "a    b\n───  ─\n猫   x\ncat  y\n"


def test_characters_that_a_terminal_would_obey_are_shown_as_what_they_are() -> None:
    assert layout(["a"], [["x\x1b[2J\ny"]]).splitlines()[2] == r"x\x1b[2J\ny"


def test_no_rows_are_said_to_be_none() -> None:
    assert layout(["a", "bc"], []) == "a  bc\n─  ──\n(no rows)\n"


@pytest.mark.parametrize(
    ("count", "written"), [(0, "0 B"), (999, "999 B"), (4_200_000, "4.2 MB"), (7 * 10**12, "7,000.0 GB")]
)
def test_bytes_are_written_for_people(count: int, written: str) -> None:
    assert size(count) == written
