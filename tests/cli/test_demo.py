"""The demo on forty scenes, and the picture of heads."""

import re
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from PIL import Image

import belvedere
from belvedere.cli import main
from belvedere.query.seeing.heads import Names, agreement, clear_heads, descriptions, foremost, projections
from tests.shell import Run

NAMES = Names("clip", "scenes", "pool")


@dataclass(frozen=True)
class Shown:
    folder: Path
    words: list[str]
    stdout: str


@pytest.fixture
def opened(whole: Path) -> belvedere.Store:
    return belvedere.open(whole, mode="r")


@pytest.fixture(scope="module")
def shown(forty: Path, tmp_path_factory: pytest.TempPathFactory) -> Shown:
    """What the demo printed in a folder of its own."""
    folder = tmp_path_factory.mktemp("demo")
    words = ["demo", "--model", "demo:clip", "--images", str(forty), "--texts", "demo:scenes"]
    with pytest.MonkeyPatch.context() as there:
        there.chdir(folder)
        found = CliRunner().invoke(main, words)
    assert found.exit_code == 0, found.output
    return Shown(folder, words, found.stdout)


def test_the_demo_shows_roles_descriptions_sql_truth_and_a_picture(shown: Shown) -> None:
    chapters = re.findall(r"^\d\. (.+)$", shown.stdout, flags=re.MULTILINE)
    assert chapters == [
        "Names",
        "Views",
        "Roles",
        "Descriptions",
        "SQL",
        "Truth",
        "Pictures",
        "Neurons",
        "A picture",
    ]
    assert "12 units are filled and kept in demo-store" in shown.stdout
    assert shown.stdout.endswith(f"  {shown.folder / 'heads.png'}\n")
    with Image.open(shown.folder / "heads.png") as picture:
        assert (picture.format, picture.size[0]) == ("PNG", 1950)


def test_a_second_demo_computes_nothing(shown: Shown, run: Run, tmp_path: Path) -> None:
    with belvedere.trace() as seen:
        found = run(*shown.words, "--store", shown.folder / "demo-store", "--picture", tmp_path / "again.png")
    assert (found.exit_code, seen.of("compute")) == (0, [])
    assert "Everything is reused from an earlier run." in found.stdout
    assert (tmp_path / "again.png").is_file()


def test_a_demo_of_other_images_counts_those_alone(
    shown: Shown, run: Run, forty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(shown.folder / "demo-store", tmp_path / "demo-store")
    with belvedere.open(tmp_path / "demo-store") as store:
        store.add_images("other", forty)
        assert store.view("head_descriptions", images="other").fill().complete
    (tmp_path / "photos").mkdir()
    for number in range(12):
        (tmp_path / "photos" / f"{number:02}.png").write_bytes(
            (forty.parent / f"{number:03}.png").read_bytes()
        )
    words = ["demo", "--model", "demo:clip", "--images", "photos", "--texts", "demo:scenes"]
    first = run(*words)
    assert (first.exit_code, "photos: 12" in first.stdout) == (0, True)
    with belvedere.open(tmp_path / "demo-store", mode="r") as store:
        assert store.sql("FROM image_sets").fetchall()[0] == ("images", str(tmp_path / "photos"), 12)
    of_ten = [int(each) for each in re.findall(r"^ +\d+ +\d+  \w+ +(\d+) ", first.stdout, re.MULTILINE)]
    assert len(of_ten) == 6
    assert max(of_ten) <= 10
    (tmp_path / "photos" / "12.png").write_bytes((forty.parent / "012.png").read_bytes())
    assert "photos: 13" in run(*words).stdout


def test_the_statements_that_the_demo_shows_can_be_typed(
    shown: Shown, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shown.folder)
    typed = re.findall(r"belvedere (sql [^\"]*\"[^\"]*\")", shown.stdout)
    assert len(typed) == 4
    for line in typed:
        found = run(*shlex.split(line), "--csv")
        assert (found.exit_code, len(found.stdout.splitlines()) > 3) == (0, True)


def test_a_model_without_images_is_refused(run: Run) -> None:
    found = run("demo", "--model", "open_clip:ViT-B-16/openai")
    assert (found.exit_code, found.stdout) == (2, "")
    assert "Error: --model and --images go together" in found.stderr


def test_clear_heads_come_one_of_each_role_first(opened: belvedere.Store) -> None:
    heads = clear_heads(opened, NAMES, 16)
    assert sorted((each.layer, each.head) for each in heads) == [(i, j) for i in range(4) for j in range(4)]
    roles = [each.role for each in heads if each.role != "none"]
    first = len(set(roles))
    assert len(set(roles[:first])) == first
    assert all(each.role == "none" for each in heads[len(roles) :])


def test_projections_are_products_of_contributions_with_a_text(opened: belvedere.Store) -> None:
    head = clear_heads(opened, NAMES, 1)[0]
    said = descriptions(opened, NAMES, head, 2)[1]
    added = opened.view("head_contributions")[:].astype(np.float64)
    text = opened.view("text_embeddings")[:].astype(np.float64)[said.text_id]
    expected = [float((added[image, head.layer, head.head] * text).sum()) for image in range(40)]
    np.testing.assert_allclose(projections(opened, NAMES, head, said.text_id), expected, rtol=1e-4, atol=1e-6)


def test_an_image_that_cannot_be_read_has_no_projection(bare: Path, forty: Path, tmp_path: Path) -> None:
    files = [tmp_path / "a.png", tmp_path / "bad.png", tmp_path / "c.png"]
    for file in files:
        file.write_bytes((forty.parent / "000.png").read_bytes())
    files[1].write_bytes(b"no picture")
    names = Names("clip", "three", "pool")
    with belvedere.open(bare) as store:
        store.add_images("three", files)
        head = clear_heads(store, names, 1)[0]
        scores = projections(store, names, head, 0)
        assert np.isnan(scores).tolist() == [False, True, False]
        assert agreement(store, names, scores + np.array([0.0, 0.0, 1.0])) is None


def test_the_foremost_images_are_those_with_the_largest_projections(spare: Path) -> None:
    store = belvedere.open(spare)
    head = clear_heads(store, NAMES, 1)[0]
    said = descriptions(store, NAMES, head, 1)[0]
    scores = projections(store, NAMES, head, said.text_id)
    assert foremost(store, NAMES, head, said, 7) == np.argsort(-scores, kind="stable")[:7].tolist()


def test_agreement_finds_the_truth_that_explains_most(opened: belvedere.Store) -> None:
    known = opened.sql("SELECT label, grp FROM images ORDER BY image_id").df()
    dice = np.random.default_rng(0)
    scores = known["grp"].map({"night": 3.0, "water": -2.0}).fillna(0.0).to_numpy() + dice.normal(0, 0.1, 40)
    found = agreement(opened, NAMES, scores)
    assert found is not None
    scaled = pd.Series((scores - scores.mean()) / scores.std())
    means = scaled.groupby(known["grp"]).mean()
    between = sum(float(means[grp]) ** 2 for grp in known["grp"]) / 40
    assert (found.column, found.means[0][0], found.means[-1][0]) == ("grp", "night", "water")
    assert found.explained == pytest.approx(between)
    assert dict(found.means) == pytest.approx(dict(means))


def test_the_picture_of_texts_without_categories_is_drawn_too(bare: Path, tmp_path: Path) -> None:
    with belvedere.open(bare) as store:
        store.add_texts("plain", ["a star", "a ring", "sand", "water", "a red thing"])
        store.figure("heads", tmp_path / "plain.png", model="clip", images="scenes", texts="plain")
    with Image.open(tmp_path / "plain.png") as picture:
        assert picture.format == "PNG"
