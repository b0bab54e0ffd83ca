"""Heads put down to their first texts classify as a literal transcription of the published code does."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

import belvedere
from belvedere.compute.heads.text_sets import logits, random_vectors, told
from belvedere.compute.heads.textspan import textspan
from belvedere.compute.pools import words
from belvedere.query.lazy.array import LazyArray
from belvedere.query.lazy.table import LazyTable
from belvedere.store import digest
from belvedere.store.errors import BadSelection, BadSource, NotAnnotated, UnknownName
from belvedere.testing import ViewContract
from tests.compute.literal_textspan import project
from tests.compute.random_heads import layer, pool
from tests.worlds import TEXTS, World, add_pictures, picture

Doubles = NDArray[np.float64]
IMAGES, BROKEN, BARE = 60, 7, 9
"""Of a small set: its images, the one that cannot be read, and the one without a label."""
CLASSES = [0, 1, 2, 3]


@pytest.fixture(scope="module")
def labelled_once(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of sixty pictures with labels drawn from four classes."""
    folder = tmp_path_factory.mktemp("labelled")
    add_pictures(folder, range(IMAGES))
    (folder / f"{BROKEN:05}.png").write_bytes(picture(BROKEN)[:60])
    dice = np.random.default_rng(0)
    with (folder / "images.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "label"])
        for image in range(IMAGES):
            drawn = TEXTS[int(dice.choice(CLASSES))]
            rows.writerow([f"{image:05}.png", "" if image == BARE else drawn])
    with belvedere.open(folder / "store") as store:
        store.add_model("m", world.source)
        store.add_images("photos", folder / "images.csv")
        store.add_texts("words", TEXTS)
        store.add_texts("kinds", TEXTS[:4])
        return store.path


@pytest.fixture(scope="module")
def labelled(labelled_once: Path) -> belvedere.Store:
    return belvedere.open(labelled_once)


def replaced(contributions: Doubles, texts: Doubles, m: int) -> tuple[Doubles, list[int]]:
    """Put contributions "image joint" down to m texts, as the published `replace_with_iterative_removal`."""
    mean = contributions.mean(axis=0)
    left, pool, chosen = contributions - mean, texts.copy(), list[int]()
    rebuilt = np.repeat(mean[None], len(contributions), axis=0)
    for _ in range(m):
        spread = (left @ pool.T).std(axis=0, ddof=1)
        best = int(np.argmax(spread))
        if spread[best] < 1e-7 * spread.max(initial=1e-3) or np.linalg.norm(pool[best]) < 1e-7:
            break
        chosen.append(best)
        direction = pool[best] / np.linalg.norm(pool[best])
        along = left @ direction
        rebuilt += np.outer(along, direction)
        left = left - np.outer(along, direction)
        pool = pool - np.outer(pool @ direction, direction)
    return rebuilt, chosen


def test_accuracies_are_those_of_the_published_way(labelled: belvedere.Store) -> None:
    view = labelled.view("text_set_accuracies", texts="words", classes="kinds", layers=1)
    assert view.fill(progress=False).complete
    rows = {(row["kept"], row["m"]): row for row in view.arrow().to_pylist()}
    there = [image for image in range(IMAGES) if image not in (BROKEN, BARE)]
    read = [image for image in range(IMAGES) if image != BROKEN]
    dense = labelled.view("head_contributions")[read].astype(np.float64)
    embedded = labelled.view("image_embeddings")[read].astype(np.float64)
    weights = labelled.view("class_embeddings", texts="kinds")[:].astype(np.float64)
    labels = labelled.sql("SELECT label FROM images ORDER BY image_id").fetchall()
    truth = np.array([TEXTS.index(labels[image][0]) for image in there])
    asked = np.array([read.index(image) for image in there])
    maps = labelled.view("tower_maps")[:].astype(np.float64)
    seed = int(digest.of_facts({"random vectors": 0})[:16], 16)
    pools = {
        "texts": labelled.view("text_embeddings", texts="words")[:].astype(np.float64),
        "random": random_vectors(12, 12, seed),
    }

    def accuracy(heads: Doubles) -> float:
        similar = (embedded - dense.sum((1, 2)) + heads.sum((1, 2)))[asked] @ weights.T
        return float((similar.argmax(axis=1) == truth).mean())

    ablated = np.broadcast_to(dense.mean(axis=0), dense.shape).copy()
    whole = ablated.copy()
    whole[:, 1] = dense[:, 1]
    assert rows["model", None]["accuracy"] == accuracy(dense)
    assert rows["heads", None]["accuracy"] == accuracy(whole)
    for kept, texts in pools.items():
        for m in (0, 1, 2, 3, 5, 8, 60):
            heads, distinct = ablated.copy(), set[int]()
            for head in range(2):
                basis = np.linalg.svd(maps[1, head], full_matrices=False)[0].T
                projected: Doubles = project(texts, basis).astype(np.float64)
                found = replaced(dense[:, 1, head], projected, min(m, 8))
                heads[:, 1, head] = found[0]
                distinct |= set(found[1])
            assert rows[kept, m]["accuracy"] == accuracy(heads), (kept, m)
            assert rows[kept, m]["distinct_texts"] == len(distinct), (kept, m)
    assert {row["images"] for row in rows.values()} == {len(there)}
    assert {row["classes"] for row in rows.values()} == {"kinds"}
    assert len(rows) == 2 * 61 + 2


def literal_directions(
    contributions: Doubles, head_map: Any, texts: Any, span: str, head_dim: int
) -> Doubles:
    """Project texts to the span that is asked for, and take from each what lies along those before it.

    That is what the head's matrix spans, or as many of the first singular vectors of its contributions, which
    are not centred, or all of these.
    """
    whole = head_map.astype(np.float64) if span == "weights" else contributions.T
    vectors, values, _ = np.linalg.svd(whole, full_matrices=False)
    basis = vectors[:, values > 1e-9 * values[0]]
    basis = basis if span == "full" else basis[:, :head_dim]
    found = np.zeros((0, len(basis)))
    for text in texts.astype(np.float64):
        left = basis @ (basis.T @ text)
        left = left - found.T @ (found @ left)
        found = np.vstack([found, left / np.linalg.norm(left)])
    return found


@pytest.mark.parametrize("convention", ["own", "clip_prs"])
@pytest.mark.parametrize("span", ["weights", "svd", "full"])
def test_similarities_are_the_literal_ones(convention: str, span: str) -> None:
    made, texts, classes = layer(50), pool(), pool(5, seed=3).astype(np.float64)
    maps = made.joint_maps(convention)  # type: ignore[arg-type]
    moments = made.moments()
    dense = made.contributions(convention)  # type: ignore[arg-type]
    picks = [textspan(moments[h], maps[h], texts, m=6, span=span) for h in range(2)]  # type: ignore[arg-type]
    mine = [texts[each.text] for each in picks]
    found = told(moments, maps, mine, classes, ranks=6, span=span)  # type: ignore[arg-type]
    from belvedere.compute.heads.moments import augment

    written = augment(made.factor[:, 0], *made.scalars)[..., 1 : 1 + maps.shape[2]]
    base, head_dim = np.random.default_rng(4).standard_normal((50, 5)), made.factor.shape[-1]
    every = [each.copy() for each in logits(base, found.along(written), found.classes)]
    expected = [base.copy() for _ in range(7)]
    for head in range(2):
        centred = dense[head] - dense[head].mean(axis=0)
        directions = literal_directions(dense[head], maps[head][:, :head_dim], mine[head], span, head_dim)
        for m in range(1, 7):
            onto = directions[:m].T @ directions[:m]
            expected[m] += centred @ onto @ classes.T
        shares = np.var(centred @ directions.T, axis=0, ddof=1) / centred.var(axis=0, ddof=1).sum()
        np.testing.assert_allclose(shares, picks[head].variance, atol=1e-6)
    for one, other in zip(every, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_sql_holds_text_sets_against_each_other(labelled: belvedere.Store) -> None:
    assert labelled.view("text_set_accuracies", texts="words", classes="kinds").fill(progress=False).complete
    rows = labelled.sql(
        "SELECT text_set, classes, kept, count(*) FROM text_set_accuracies WHERE m <= 8 GROUP BY ALL "
        "ORDER BY kept"
    )
    assert rows.completeness.complete
    assert rows.fetchall() == [("words", "kinds", "random", 9), ("words", "kinds", "texts", 9)]


def test_the_same_classes_under_two_names_are_called_as_they_were_asked_for(
    labelled: belvedere.Store,
) -> None:
    labelled.add_texts("again", TEXTS[:4])
    for name in ("kinds", "again"):
        table = labelled.view("text_set_accuracies", texts="words", classes=name)
        assert set(table.df()["classes"]) == {name}
    rows = labelled.sql(
        "SELECT classes, count(*) FROM text_set_accuracies WHERE text_set = 'words' AND m = 3 "
        "GROUP BY 1 ORDER BY 1"
    )
    assert rows.fetchall() == [("again", 2), ("kinds", 2)]
    labelled.remove("again")


def test_asking_starts_no_model_where_contributions_are_kept(labelled: belvedere.Store) -> None:
    for name in ("image_embeddings", "head_descriptions", "class_embeddings"):
        texts = "kinds" if name == "class_embeddings" else "words"
        asked = {} if name == "image_embeddings" else {"texts": texts}
        assert labelled.view(name, **asked).fill(progress=False).complete
    with belvedere.trace() as seen:
        labelled.view("text_set_accuracies", texts="words", classes="kinds", layers=2, seed=3).fill(
            progress=False
        )
    assert seen.of("load") == []


def test_what_cannot_be_classified_is_refused_by_name(labelled: belvedere.Store, world: World) -> None:
    with pytest.raises(BadSelection, match=r"layers=5: '.*' has 2 layers"):
        labelled.view("text_set_accuracies", texts="words", classes="kinds", layers=5)
    with pytest.raises(BadSource, match="layers=0: at least the last 1 is replaced"):
        labelled.view("text_set_accuracies", texts="words", classes="kinds", layers=0)
    with pytest.raises(UnknownName, match="did you mean 'kinds'"):
        labelled.view("text_set_accuracies", texts="words", classes="kind")
    with pytest.raises(BadSource, match=r"needs classes=…; there are kinds, words"):
        labelled.view("text_set_accuracies", texts="words")
    with pytest.raises(BadSource, match="takes a registered name"):
        labelled.view("text_set_accuracies", texts="words", classes=3)
    labelled.add_texts("others", ["a small dog", "a cow"])
    with pytest.raises(
        NotAnnotated, match=r"no classes of 'others' for 3 of their labels, as 'a small boat'"
    ):
        labelled.view("text_set_accuracies", texts="words", classes="others")
    labelled.remove("others")
    labelled.add_images("bare", world.photos)
    with pytest.raises(
        NotAnnotated, match="the images 'bare' have no labels: add them with a class of 'kinds'"
    ):
        labelled.view("text_set_accuracies", images="bare", texts="words", classes="kinds")
    labelled.remove("bare", "images")


def test_random_vectors_are_the_same_for_the_same_seed() -> None:
    first = random_vectors(5, 8, 1)
    np.testing.assert_allclose(np.linalg.norm(first, axis=1), 1)
    assert np.array_equal(first, random_vectors(5, 8, 1))
    assert not np.array_equal(first, random_vectors(5, 8, 2))


def test_the_pool_of_words_has_each_once() -> None:
    every = words()
    assert len(every) == len(set(every)) == 470
    assert all(each.isascii() and each.islower() and each.isalpha() for each in every)


class TestTextSetAccuracies(ViewContract):
    view = "text_set_accuracies"
    parameters: ClassVar = {"classes": "kinds"}

    def ask(self, store: belvedere.Store) -> LazyArray | LazyTable:
        store.add_texts("kinds", "demo:classes")
        return super().ask(store)
