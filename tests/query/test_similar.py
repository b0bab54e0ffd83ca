"""Images are found that chosen heads see alike, each compared with all others in dense float64."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

import belvedere
from belvedere.compute.heads.retrieval import Measure, scores
from belvedere.store.errors import (
    AbsentRows,
    BadSelection,
    BadSource,
    QueryError,
    UnknownName,
)
from belvedere.testing import ViewContract
from tests.shell import Run
from tests.worlds import World, add_pictures, picture

COLUMNS = ["model", "image_set", "heads", "query", "rank", "image_id", "score", "label", "grp", "path"]
BROKEN, COPY, OF = 5, 11, 2
"""Of a small set: the image that cannot be read, and one that is a copy of another."""


class TestChosenContributions(ViewContract):
    view = "chosen_contributions"
    parameters: ClassVar = {"heads": "layer = 3 OR role = 'number'"}


class TestSimilarImages(ViewContract):
    view = "similar_images"
    parameters: ClassVar = {"heads": "layer = 3"}


class TestTextImages(ViewContract):
    view = "text_images"


def literal(
    store: belvedere.Store, heads: list[tuple[int, int]], query: NDArray[np.float64] | int, measure: Measure
) -> NDArray[np.float64]:
    """Score every image against a query, contribution by contribution; NaN where there is none."""
    dense = store.view("head_contributions").read(missing="mask").astype(np.float64).filled(np.nan)
    sums = [sum(image[layer, head] for layer, head in heads) for image in dense]
    asked = sums[query] if isinstance(query, int) else query
    found = []
    for each in sums:
        score = float(np.dot(each, asked))
        found.append(score / np.linalg.norm(each) / np.linalg.norm(asked) if measure == "cosine" else score)
    if isinstance(query, int):
        found[query] = np.nan
    return np.array(found)


def check(rows: pd.DataFrame, expected: NDArray[np.float64], count: int) -> None:
    """Compare rows with all scores: the best of them, in order, up to the rounding of float32."""
    order = [image for image in np.argsort(-expected, kind="stable") if not np.isnan(expected[image])][:count]
    np.testing.assert_allclose(rows.score, expected[order], rtol=2e-5, atol=1e-7)
    np.testing.assert_allclose(rows.score, expected[rows.image_id], rtol=2e-5, atol=1e-7)
    assert rows["rank"].tolist() == list(range(len(order)))
    assert rows.image_id.is_unique


@pytest.fixture(scope="module")
def small_once(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of twelve pictures, one of them broken and one a copy of another."""
    folder = tmp_path_factory.mktemp("similar")
    photos = add_pictures(folder / "photos", range(12))
    (photos / f"{BROKEN:05}.png").write_bytes(picture(BROKEN)[:60])
    (photos / f"{COPY:05}.png").write_bytes(picture(OF))
    with World(world.clip, photos).store(folder / "store") as store:
        store.similar(0)
        return store.path


@pytest.fixture
def small(small_once: Path, tmp_path: Path) -> belvedere.Store:
    return belvedere.open(shutil.copytree(small_once, tmp_path / "small"))


@pytest.mark.parametrize("measure", ["cosine", "dot"])
@pytest.mark.parametrize(
    ("heads", "chosen"),
    [
        (None, [(0, 0), (0, 1), (1, 0), (1, 1)]),
        ("1.0", [(1, 0)]),
        ("layer = 0 OR head = 1", [(0, 0), (0, 1), (1, 1)]),
    ],
)
def test_images_are_ranked_as_dense_contributions_are(
    small: belvedere.Store, heads: str | None, chosen: list[tuple[int, int]], measure: Measure
) -> None:
    found = small.similar(3, heads=heads, measure=measure, count=8).rows
    assert list(found.columns) == COLUMNS
    assert len(found) == 8
    check(found, literal(small, chosen, 3, measure), 8)
    small.add_texts("own", ["a red boat"])
    words = small.view("text_embeddings", texts="own")[0].astype(np.float64)
    said = small.similar(" a red boat ", heads=heads, measure=measure, count=8).rows
    check(said, literal(small, chosen, words, measure), 8)


def test_both_conventions_are_summed(small: belvedere.Store) -> None:
    dense = small.view("head_contributions", convention="clip_prs").read(missing="mask")
    found = small.view("chosen_contributions", heads="head = 1", convention="clip_prs")
    assert found.fill(progress=False).complete
    mine = found.read(missing="mask").filled(np.nan)
    np.testing.assert_allclose(mine, dense.filled(np.nan)[:, :, 1].sum(1), atol=1e-6)
    norms = np.asarray(found.coords["norm"])
    np.testing.assert_allclose(norms, np.linalg.norm(mine, axis=1), rtol=1e-6)


def test_a_copy_is_the_first_and_the_image_itself_is_none(small: belvedere.Store) -> None:
    first = small.similar(OF, heads="1.1").rows.iloc[0]
    assert (first.image_id, round(float(first.score), 6)) == (COPY, 1)
    assert OF not in small.similar(OF).rows.image_id.tolist()
    assert small.similar(COPY).rows.image_id[0] == OF


def test_an_image_is_named_by_any_kind_of_integer(small: belvedere.Store) -> None:
    plain, counted = (small.similar(to, count=4, progress=False) for to in (3, np.int64(3)))
    assert counted.rows.equals(plain.rows)
    assert 3 not in set(counted.rows.image_id)
    assert type(counted.rows["query"].iloc[0]) is type(plain.rows["query"].iloc[0])
    with pytest.raises(BadSelection, match="no image -1 in"):
        small.similar(np.int64(-1), progress=False)
    for wrong in (2.0, np.array([1, 2]), None, True):
        with pytest.raises(BadSource, match="takes the number of an image, or a text, not"):
            small.similar(wrong, progress=False)  # type: ignore[arg-type]


def test_equal_ones_come_in_the_order_of_the_set() -> None:
    dice = np.random.default_rng(0)
    vectors = dice.standard_normal((1031, 24)).astype(np.float32)
    copies = [7, 511, 512, 1030]
    vectors[copies] = vectors[7]
    found = scores(vectors, np.linalg.norm(vectors, axis=1), dice.standard_normal((1, 24)), "cosine")[:, 0]
    assert len(set(found[copies].tolist())) == 1


def test_an_image_for_which_heads_write_nothing_has_no_cosine() -> None:
    vectors = np.array([[1, 0], [0, 0]], np.float32)
    lengths = np.linalg.norm(vectors, axis=1)
    assert scores(vectors, lengths, np.array([[2.0, 0]]), "cosine")[:, 0].tolist()[0] == 1
    assert np.isnan(scores(vectors, lengths, np.array([[2.0, 0]]), "cosine")[1, 0])
    assert scores(vectors, lengths, np.array([[2.0, 0]]), "dot")[:, 0].tolist() == [2, 0]
    assert np.isnan(scores(vectors, lengths, np.zeros((1, 2)), "cosine")).all()


def test_more_than_there_are_gives_all_that_could_be_read(small: belvedere.Store) -> None:
    found = small.similar(0, count=99).rows
    assert sorted(found.image_id) == [image for image in range(12) if image not in (0, BROKEN)]
    assert sorted(small.similar("a hat", count=99).rows.image_id) == [i for i in range(12) if i != BROKEN]


def test_an_unreadable_image_is_masked_and_asked_about_in_vain(small: belvedere.Store) -> None:
    view = small.view("chosen_contributions")
    assert np.flatnonzero(view.read((slice(None), 0), missing="mask").mask).tolist() == [BROKEN]
    with pytest.raises(AbsentRows):
        view.read()
    with pytest.raises(BadSelection, match=r"image 5 \(.*00005.png\) could not be read"):
        small.similar(BROKEN)


def test_tables_of_neighbours_join_with_images(small: belvedere.Store) -> None:
    assert small.view("similar_images", heads="layer = 1").fill(progress=False).complete
    assert small.view("text_images", heads="layer = 1", measure="cosine").fill(progress=False).complete
    rows = small.sql(
        "SELECT query, rank, image_id, score FROM similar_images JOIN images USING (image_set, image_id) "
        "WHERE heads = 'layer = 1' AND query IN (0, 5) ORDER BY query, rank"
    )
    assert rows.completeness.complete
    alone = small.similar(0, heads="layer = 1", count=10).rows
    pd.testing.assert_frame_equal(rows.df(), alone[["query", "rank", "image_id", "score"]])
    text = small.sql(
        "SELECT rank, image_id, score FROM text_images JOIN texts USING (text_set, text_id) "
        "WHERE text = 'a large boat' ORDER BY rank"
    ).df()
    alone = small.similar("a large boat", heads="layer = 1", count=10).rows
    pd.testing.assert_frame_equal(text, alone[["rank", "image_id", "score"]])


def test_asking_again_computes_nothing_and_loads_no_model(small: belvedere.Store) -> None:
    first = small.similar("a red boat", heads="1.0").rows
    with belvedere.open(small.path) as again, belvedere.trace() as seen:
        pd.testing.assert_frame_equal(
            again.similar("a red boat", heads="1.0").rows[["image_id", "score"]],
            first[["image_id", "score"]],
        )
        assert (seen.of("load"), seen.of("compute")) == ([], [])
    with belvedere.open(small.path, mode="r") as reading:
        assert reading.similar("a red boat", heads="1.0").rows.equals(first)


def test_other_heads_start_no_model(small: belvedere.Store) -> None:
    with belvedere.trace() as seen:
        small.similar(1, heads="layer = 0")
    assert seen.of("load") == []
    assert {unit.split("/")[0] for unit in seen.of("compute")} == {"chosen_heads", "chosen_contributions"}


@pytest.mark.parametrize(
    ("to", "asked", "error", "said"),
    [
        (12, {}, BadSelection, r"no image 12 in 'photos', which has images 0 to 11; only images of the set"),
        (-1, {}, BadSelection, "no image -1"),
        ("  ", {}, BadSource, "or a text that is not empty"),
        ("word " * 20, {}, BadSource, "needs more than the 12 tokens that the model reads"),
        (0, {"heads": "7.0"}, BadSelection, r"no head 7\.0 in 'm'; there are 2 layers of 2 heads"),
        (0, {"heads": "layer = 7"}, BadSelection, "'layer = 7' chooses none of the heads"),
        (0, {"heads": ""}, BadSource, "is no condition on heads"),
        (0, {"heads": "colour = 1"}, QueryError, "is no condition on heads"),
        (0, {"count": 0}, BadSource, "count=0"),
        (0, {"count": 2.5}, BadSource, r"count=2\.5: a number of images"),
        (0, {"measure": "cosin"}, UnknownName, "no measure 'cosin'; did you mean 'cosine'"),
        (0, {"images": "photo"}, UnknownName, "did you mean 'photos'"),
    ],
)
def test_what_cannot_be_asked_is_refused_by_name(
    small: belvedere.Store, to: int | str, asked: dict[str, object], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        small.similar(to, **asked)  # type: ignore[arg-type]


def test_a_declared_head_that_is_not_there_fails_by_name(small: belvedere.Store) -> None:
    small.declare("odd", sql="SELECT 9 AS layer, 0 AS head")
    with pytest.raises(BadSelection, match=r"'odd' has head 9\.0; there are 2 layers of 2 heads"):
        small.similar(0, heads="odd")


@pytest.mark.parametrize("name", ["similar_images", "text_images"])
def test_no_more_rows_are_shown_than_are_kept(small: belvedere.Store, name: str) -> None:
    with pytest.raises(BadSource, match="k=51: from 1 to 50 images"):
        small.view(name, k=51)


def test_the_table_of_one_head_is_what_is_similar_by_it(small: belvedere.Store) -> None:
    assert small.view("similar_images", heads="1.0").fill(progress=False).complete
    rows = small.sql(
        "SELECT rank, image_id, score FROM similar_images WHERE heads = '1.0' AND query = 3"
    ).df()
    alone = small.similar(3, heads="1.0", count=10).rows
    pd.testing.assert_frame_equal(rows, alone[["rank", "image_id", "score"]])
    check(alone, literal(small, [(1, 0)], 3, "cosine"), 10)


def test_the_command_shows_rows_and_draws_a_sheet(run: Run, spare: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    words = ("similar", 3, "--heads", "role = 'background'", "--count", 4, "--store", spare)
    found = run(*words, "--out", sheet)
    assert found.exit_code == 0
    assert found.stdout.splitlines()[0].split() == ["rank", "image_id", "score", "label", "grp"]
    assert sheet.read_bytes().startswith(b"\x89PNG")
    programs = run(*words, "--csv").stdout.splitlines()
    assert programs[0].split(",") == COLUMNS
    assert (tmp_path / "similar-3-role-background.png").exists()
    run(*words, "--measure", "dot", "--model", "clip")
    assert (tmp_path / "similar-clip-3-role-background-dot.png").exists()
    text = run("similar", "3", "--text", "--csv", "--count", 1, "--store", spare)
    assert text.stdout.splitlines()[1].startswith("clip,scenes,,3,0,")
    refused = run("similar", 99, "--store", spare)
    assert (refused.exit_code, "no image 99 in 'scenes'" in refused.stderr) == (2, True)


def test_heads_about_the_background_find_the_background(spare: Path) -> None:
    with belvedere.open(spare) as store:
        found = store.similar(3, heads="role = 'background'", count=3)
        known = store.sql("SELECT grp FROM images WHERE image_id = 3").fetchall()[0][0]
        assert found.rows.grp.tolist() == [known] * 3
        assert [len(group) for group in found.sheet.rows[0].groups] == [1, 3]
