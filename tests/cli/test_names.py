"""Adding models, images and texts, and listing what there is."""

import json
from pathlib import Path

import pytest

from tests.shell import Run


def test_each_kind_is_added_and_said_to_be(run: Run, forty: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    said = [
        run("add", *words, "--store", store)
        for words in (
            ("model", "clip", "demo:clip"),
            ("images", "scenes", forty),
            ("texts", "pool", "demo:scenes"),
        )
    ]
    assert [each.exit_code for each in said] == [0, 0, 0]
    assert said[0].stdout == "model clip: 4 layers of 4 heads, 65 tokens, 64 dimensions, float32\n"
    assert said[1].stdout == "images scenes: 40, 40 of them new\n"
    assert "reading images" in said[1].stderr
    assert said[2].stdout.startswith("texts pool: ")


def test_the_same_images_again_are_not_new(run: Run, bare: Path, forty: Path) -> None:
    found = run("add", "images", "scenes", forty, "--store", bare)
    assert found.stdout == "images scenes: 40, 0 of them new\n"


def test_several_files_are_one_set(run: Run, bare: Path, forty: Path) -> None:
    files = [forty.parent / f"{number:03}.png" for number in (3, 1)]
    assert run("add", "images", "two", *files, "--store", bare).stdout == "images two: 2, 2 of them new\n"
    query = "SELECT path FROM images WHERE image_set = 'two' ORDER BY image_id"
    assert run("sql", query, "--store", bare, "--csv").stdout == f"path\n{files[0]}\n{files[1]}\n"


def test_labels_are_taken_from_folders(run: Run, bare: Path, forty: Path, tmp_path: Path) -> None:
    (tmp_path / "photos" / "cats").mkdir(parents=True)
    (tmp_path / "photos" / "cats" / "a.png").write_bytes((forty.parent / "000.png").read_bytes())
    run("add", "images", "cats", tmp_path / "photos", "--labels", "folder", "--store", bare)
    query = "SELECT label FROM images WHERE image_set = 'cats'"
    assert run("sql", query, "--store", bare, "--csv").stdout == "label\ncats\n"


def test_files_that_are_no_pictures_are_counted(run: Run, bare: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no picture")
    found = run("add", "images", "bad", tmp_path / "bad.png", "--store", bare)
    assert (found.exit_code, found.stdout) == (0, "images bad: 1, 1 of them new, 1 unreadable\n")


def test_a_name_that_is_taken_is_refused_until_told(run: Run, bare: Path, tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("a dog\na cat\n")
    words = ("add", "texts", "pool", tmp_path / "words.txt", "--store", bare)
    assert run(*words).exit_code == 2
    assert "(--replace)" in run(*words).stderr
    assert run(*words, "--replace").stdout == "texts pool: 2, 2 of them new\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("add", "texts", "x", "demo:scnes"), "no pool 'demo:scnes'; did you mean 'demo:scenes'?"),
        (("add", "texts", "x", "absent.txt"), "no file absent.txt"),
        (("add", "images", "x", "absent"), "no folder, file or table absent"),
        (("add", "images", "a/b", "absent"), "'a/b' cannot name a set of images"),
        (("add", "model", "x", "demo:clop"), "did you mean 'demo:clip'?"),
        (("add", "model", "x", "open_clip:ViT-B-16"), "says no weights"),
        (("plan", "head_rols"), "no view 'head_rols'; did you mean 'head_roles'?"),
        (("fill", "head_roles", "--texts", "pol"), "no text set 'pol'; did you mean 'pool'?"),
        (("fill", "head_moments", "--texts", "pool"), "no input of head_moments 'texts'"),
        (
            ("plan", "head_roles", "-p", "alfa", "0.1"),
            "head_roles 'alfa'; did you mean 'alpha'?",
        ),
        (("plan", "head_roles", "-p", "alpha", "high"), "head_roles's alpha takes float, not 'high'"),
        (("plan", "head_roles", "-p", "alpha", "1"), "head_roles's alpha is between 0 and 1, not 1.0"),
        (("plan", "head_roles", "-p", "share", "0"), "head_roles's share is above 0 and at most 1, not 0.0"),
        (("fill", "head_roles", "-p", "model", "clip"), "model is no parameter but an input; use --model"),
        (("plan", "head_roles", "-p", "images", "scenes"), "use --images"),
        (("status", "head_roles", "-p", "texts", "pool"), "use --texts"),
        (("plan", "head_roles", "-p", "name", "x"), "no view has a parameter name"),
        (("plan", "head_roles", "-p", "self", "x"), "no view has a parameter self"),
        (("plan", "head_moments", "--where", "layer = 1"), "--where narrows views that are tables"),
        (("plan", "head_roles", "--where", "layr = 1"), 'Referenced column "layr" not found'),
        (
            ("plan", "similar_images", "--where", "layr = 1"),
            "'layr = 1' is no condition on heads: there is no",
        ),
        (("status", "--model", "clip"), "name a VIEW"),
    ],
)
def test_what_is_not_known_is_refused_with_what_is_there(
    words: tuple[str, ...], message: str, run: Run, bare: Path
) -> None:
    found = run(*words, "--store", bare)
    assert (found.exit_code, found.stdout) == (2, "")
    assert message in found.stderr
    assert "\nError: " in f"\n{found.stderr}"


def test_where_chooses_heads_of_a_view_that_takes_them(run: Run, bare: Path) -> None:
    for view in ("similar_images", "chosen_contributions"):
        by_where = run("plan", view, "--where", "layer = 1", "--store", bare)
        by_name = run("plan", view, "-p", "heads", "layer = 1", "--store", bare)
        assert (by_where.exit_code, by_where.stdout) == (0, by_name.stdout)


def test_an_integer_is_a_value_of_a_parameter_that_is_a_float(run: Run, bare: Path) -> None:
    found = [
        run("plan", "head_roles", "-p", "share", share, "--store", bare, "--json") for share in ("1", "1.0")
    ]
    assert [each.exit_code for each in found] == [0, 0]
    assert found[0].stdout == found[1].stdout


def test_views_tells_of_each_view_what_it_holds(run: Run) -> None:
    found = {row["view"]: row for row in json.loads(run("views", "--json").stdout)}
    assert found["head_roles"] | {"parameters": "", "summary": ""} == {
        "view": "head_roles",
        "kind": "table",
        "inputs": "model, images, texts",
        "parameters": "",
        "holds": "layer, head, role, score, p_value, runner_up",
        "summary": "",
    }
    assert found["head_moments"]["kind"] == "array"
    assert found["head_moments"]["parameters"] == "dtype=float32, convention=own"
