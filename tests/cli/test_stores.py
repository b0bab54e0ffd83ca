"""Which store a command is about."""

from pathlib import Path

import pytest

from tests.shell import Run
from tests.worlds import add_pictures, picture

ASK = ("sql", "SELECT count(*) AS n FROM models", "--csv")


def test_a_store_is_named_by_an_option(run: Run, whole: Path) -> None:
    assert run(*ASK, "--store", whole).stdout == "n\n1\n"


def test_a_store_is_named_by_the_environment(run: Run, whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BELVEDERE_STORE", str(whole))
    assert run(*ASK).stdout == "n\n1\n"


def test_the_option_wins_over_the_environment(
    run: Run, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BELVEDERE_STORE", str(tmp_path / "nowhere"))
    assert run(*ASK, "--store", whole).stdout == "n\n1\n"


def test_a_store_is_found_above_the_working_directory(
    run: Run, spare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (spare / "below" / "it").mkdir(parents=True)
    monkeypatch.chdir(spare / "below" / "it")
    assert run(*ASK).stdout == "n\n1\n"


@pytest.mark.parametrize(
    "words", [ASK, ("add", "model", "clip", "demo:clip"), ("fill", "head_roles"), ("status",), ("verify",)]
)
def test_without_a_store_an_error_says_how_to_make_one(
    words: tuple[str, ...], run: Run, tmp_path: Path
) -> None:
    found = run(*words)
    assert (found.exit_code, found.stdout) == (2, "")
    assert found.stderr == (
        f"Error: no Belvedere store in {tmp_path} or above it; name one with --store DIR, "
        "or belvedere add images NAME SOURCE --store DIR makes one\n"
    )


def test_reading_makes_no_store(run: Run, tmp_path: Path) -> None:
    found = run(*ASK, "--store", tmp_path / "new")
    assert (found.exit_code, found.stdout) == (2, "")
    assert f"Error: {tmp_path}/new holds no Belvedere store" in found.stderr
    assert not (tmp_path / "new").exists()


def test_adding_makes_the_store_that_is_named(run: Run, tmp_path: Path) -> None:
    assert run("add", "texts", "pool", "demo:scenes", "--store", tmp_path / "new").exit_code == 0
    assert (tmp_path / "new" / "belvedere.json").is_file()


def test_adding_makes_no_store_of_a_folder_with_other_things(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    found = run("add", "texts", "pool", "demo:scenes", "--store", tmp_path)
    assert (found.exit_code, found.stdout) == (2, "")
    assert "a folder with other things in it" in found.stderr
    assert [each.name for each in tmp_path.iterdir()] == ["mine.txt"]


def test_views_are_listed_without_a_store(run: Run) -> None:
    assert run("views").exit_code == 0


def test_a_store_without_errors_lists_none_in_every_format(run: Run, bare: Path) -> None:
    shown = {form: run("errors", "--store", bare, f"--{form}") for form in ("csv", "json", "nl", "table")}
    assert {form: result.exit_code for form, result in shown.items()} == dict.fromkeys(shown, 0)
    assert shown["csv"].stdout.startswith("view,model,image_set,text_set,row,")
    assert [shown[form].stdout for form in ("json", "nl", "table")] == ["[]\n", "", "no errors\n"]


def test_times_with_a_zone_are_given_out(run: Run, bare: Path) -> None:
    query = "SELECT TIMESTAMPTZ '2026-01-02 03:04:05+00' AS at"
    assert run("sql", "--store", bare, "--csv", query).exit_code == 0


def test_a_store_that_cannot_be_made_is_refused_in_one_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    refused = run("add", "texts", "x", "demo:scenes", "--store", tmp_path / "file" / "store")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert refused.stderr.startswith("Error: ")


def test_what_changed_and_what_is_gone_is_said(run: Run, tmp_path: Path) -> None:
    folder, store = tmp_path / "pictures", tmp_path / "store"
    add_pictures(folder, range(3))
    run("add", "images", "x", folder, "--store", store)
    (folder / "00000.png").unlink()
    (folder / "00001.png").write_bytes(picture(9))
    again = run("add", "images", "x", folder, "--store", store)
    assert again.stdout == "images x: 3, 0 of them new, 1 changed, 1 gone\n"
