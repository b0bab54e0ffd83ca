"""Any text finds the heads that write about it, from moments, and asking again loads no model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import belvedere
from belvedere.compute.heads.conventions import Convention
from belvedere.store.errors import BadSource, MissingUnits, UnknownName
from tests.shell import Run
from tests.worlds import World, add_pictures, picture

COLUMNS = [
    *("model", "image_set", "text_set", "text", "layer", "head"),
    *("score", "share", "variance", "mean", "role"),
]
ASKED = ["a red boat", "two hats"]


def embedded(store: belvedere.Store, texts: Sequence[str]) -> np.ndarray:
    """Embed texts by way of a text set of their own."""
    store.add_texts("own", list(texts))
    return np.asarray(store.view("text_embeddings", texts="own")[:], np.float64)


def literal(contributions: np.ndarray, direction: np.ndarray) -> pd.DataFrame:
    """Project dense contributions "image layer head joint" on a direction, head by head."""
    rows = []
    for layer, head in np.ndindex(contributions.shape[1:3]):
        c = contributions[:, layer, head].astype(np.float64)
        along = c @ direction / np.linalg.norm(direction)
        variance = np.var(along, ddof=1)
        rows.append((layer, head, variance / np.trace(np.cov(c.T)), variance, np.mean(along)))
    return pd.DataFrame(rows, columns=["layer", "head", "share", "variance", "mean"])


def by_place(found: pd.DataFrame, text: str) -> pd.DataFrame:
    return found[found.text == text].sort_values(["layer", "head"]).reset_index(drop=True)


@pytest.mark.parametrize("convention", ["own", "clip_prs"])
def test_heads_are_measured_as_dense_contributions_are(
    filled: belvedere.Store, convention: Convention
) -> None:
    found = filled.heads_for(ASKED, convention=convention)
    assert list(found.columns) == COLUMNS
    texts, words = embedded(filled, ASKED), filled.view("text_embeddings", texts="words")[:]
    dense = filled.view("head_contributions", convention=convention)[:]
    for text, vector in zip(ASKED, texts, strict=True):
        mine = by_place(found, text)
        expected = literal(dense, vector)
        for column in ("share", "variance", "mean"):
            np.testing.assert_allclose(mine[column], expected[column], rtol=1e-4, err_msg=column)
        against = literal(dense, vector - words.mean(axis=0, dtype=np.float64))
        np.testing.assert_allclose(mine.score, against.share, rtol=1e-4)


def test_the_best_head_of_each_text_comes_first(filled: belvedere.Store) -> None:
    found = filled.heads_for([*ASKED, " two hats "])
    assert found.text.unique().tolist() == ASKED
    assert len(found) == 2 * 2 * 2
    for _, mine in found.groupby("text"):
        assert mine.score.is_monotonic_decreasing
    assert found[["model", "image_set", "text_set"]].drop_duplicates().to_numpy().tolist() == [
        ["m", "photos", "words"]
    ]


def test_images_that_cannot_be_read_do_not_count(world: World, tmp_path: Path) -> None:
    photos = add_pictures(tmp_path / "photos", range(12))
    (photos / "00005.png").write_bytes(picture(5)[:60])
    store = World(world.clip, photos).store(tmp_path / "store")
    found = by_place(store.heads_for("a boat"), "a boat")
    there = np.delete(np.arange(12), 5)
    expected = literal(store.view("head_contributions")[there], embedded(store, ["a boat"])[0])
    np.testing.assert_allclose(found.share, expected.share, rtol=1e-4)


def test_asking_again_loads_no_model_and_computes_nothing(filled: belvedere.Store) -> None:
    first = filled.heads_for("a red boat")
    with belvedere.open(filled.path) as again, belvedere.trace() as seen:
        pd.testing.assert_frame_equal(again.heads_for("a red boat"), first)
        assert (seen.of("load"), seen.of("compute")) == ([], [])
    with belvedere.open(filled.path, mode="r") as reading:
        pd.testing.assert_frame_equal(reading.heads_for("a red boat"), first)


def test_only_the_text_is_computed_where_moments_are_kept(filled: belvedere.Store) -> None:
    with belvedere.trace() as seen:
        filled.heads_for(ASKED)
    assert [unit.split("/")[0] for unit in seen.of("compute")] == ["text_embeddings"] * 2


def test_what_is_missing_is_computed(store: belvedere.Store) -> None:
    assert len(store.heads_for("a boat")) == 4


def test_what_was_asked_is_registered_nowhere(filled: belvedere.Store) -> None:
    filled.heads_for("a red boat")
    assert filled.sql("SELECT text_set, texts FROM text_sets").fetchall() == [("words", 12)]
    assert "(asked)" not in str(filled.status())


def test_without_a_text_set_texts_stand_for_themselves(world: World, tmp_path: Path) -> None:
    store = belvedere.open(tmp_path / "store")
    store.add_model("m", world.source)
    store.add_images("photos", add_pictures(tmp_path / "photos", range(12)))
    found = store.heads_for("a boat")
    assert found.text_set.isna().all()
    np.testing.assert_allclose(found.score, found.share, rtol=1e-6)


def test_of_several_text_sets_one_is_named(filled: belvedere.Store) -> None:
    filled.add_texts("more", ["a boat", "a hat"])
    with pytest.raises(BadSource, match="needs texts=…; there are more, words"):
        filled.heads_for("a boat")
    assert filled.heads_for("two boats", texts="more").text_set.unique().tolist() == ["more"]
    with pytest.raises(UnknownName, match="no text set 'mor'; did you mean 'more'"):
        filled.heads_for("a boat", texts="mor")


def test_texts_too_long_for_the_model_do_not_shift_the_mean(filled: belvedere.Store) -> None:
    filled.add_texts("some", ["a dog", "a hat", "word " * 20])
    filled.add_texts("same", ["a dog", "a hat"])
    some, same = (by_place(filled.heads_for("a boat", texts=name), "a boat") for name in ("some", "same"))
    np.testing.assert_allclose(some.score, same.score, rtol=1e-4)
    filled.add_texts("none", ["word " * 20])
    with pytest.raises(BadSource, match="no text of 'none' is short enough for 'm'"):
        filled.heads_for("a boat", texts="none")


def test_a_text_too_long_for_the_model_is_refused_each_time(filled: belvedere.Store) -> None:
    for _ in range(2):
        with pytest.raises(
            BadSource, match=r"'word word .*…' needs more than the 12 tokens that the model reads"
        ):
            filled.heads_for(["a boat", "word " * 20])
    assert filled.errors() == []


@pytest.mark.parametrize("texts", ["", "  ", [], ["a boat", ""]])
def test_an_empty_text_is_refused(store: belvedere.Store, texts: str | list[str]) -> None:
    with pytest.raises(BadSource, match="none of them empty"):
        store.heads_for(texts)


def test_a_store_open_to_read_says_what_is_missing(kept: belvedere.Store) -> None:
    with pytest.raises(MissingUnits, match=r"text_embeddings\[m × \(asked\)\] are missing"):
        kept.heads_for("a boat")


def test_heads_of_the_demo_are_found_by_what_they_are_about(run: Run, spare: Path) -> None:
    with belvedere.open(spare) as store:
        found = store.heads_for(["stripes", "three shapes", "a beach", "circles"]).groupby("text").first()
        assert {text: (row.layer, row["head"]) for text, row in found.iterrows()} == {
            "stripes": (3, 3),
            "three shapes": (3, 1),
            "a beach": (2, 3),
            "circles": (3, 0),
        }
        roles = store.view("head_roles").df().set_index(["layer", "head"]).role
        assert found.role.to_dict() == {text: roles[row.layer, row["head"]] for text, row in found.iterrows()}


def test_the_command_prints_the_best_heads(run: Run, spare: Path) -> None:
    found = run("describe", "stripes", "--count", 2, "--store", spare)
    assert found.exit_code == 0
    header, _, first, second = found.stdout.splitlines()
    assert header.split() == ["layer", "head", "role", "score", "share", "variance", "mean"]
    assert first.split()[:2] == ["3", "3"]
    assert len(second.split()) == 7
    both = run("describe", "stripes", "a beach", "--count", 1, "--store", spare)
    assert [line.split("  ")[0] for line in both.stdout.splitlines()[2:]] == ["stripes", "a beach"]
    programs = run("describe", "stripes", "--count", 1, "--csv", "--store", spare).stdout.splitlines()
    assert programs[0].split(",") == COLUMNS
    assert programs[1].startswith("clip,scenes,pool,stripes,3,3,0.")


def test_roles_are_never_computed_for_the_command(run: Run, bare: Path) -> None:
    found = run("describe", "stripes", "--count", 1, "--csv", "--store", bare)
    assert (found.exit_code, found.stdout.splitlines()[1][-1]) == (0, ",")
    with belvedere.open(bare) as store:
        assert store.view("head_roles").status().ready == 0


def test_the_command_refuses_a_text_that_is_too_long_before_any_image_is_read(run: Run, bare: Path) -> None:
    found = run("describe", "stripes " * 30, "--store", bare)
    assert (found.exit_code, found.stdout) == (2, "")
    assert "needs more than the 24 tokens that the model reads; ask with fewer words" in found.stderr
    with belvedere.open(bare) as store:
        assert store.view("head_contributions").status().ready == 0
