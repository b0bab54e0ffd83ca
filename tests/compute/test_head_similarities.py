"""Heads of two models are compared as dense contributions are, by every measure."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import duckdb
import numpy as np
import pytest
from numpy.typing import NDArray

import belvedere
from belvedere.compute.heads.cka import Alignment, rows_of
from belvedere.compute.heads.moments import augment
from belvedere.store.errors import BadSource, UnknownName
from belvedere.testing import ViewContract
from tests.compute.random_heads import layer
from tests.worlds import World, add_pictures, make_clip, picture

Doubles = NDArray[np.float64]
IMAGES, BROKEN = 40, 3


class TestHeadCka(ViewContract):
    view = "head_cka"
    parameters: ClassVar = {"other": "clip", "debiased": True}


class TestHeadTextCorrelations(ViewContract):
    view = "head_text_correlations"
    parameters: ClassVar = {"other": "clip"}


class TestHeadRoleOverlaps(ViewContract):
    view = "head_role_overlaps"
    parameters: ClassVar = {"other": "clip"}


def literal_cka(first: Doubles, second: Doubles) -> float:
    """Align two representations "image joint" by their matrices of inner products between images."""
    n = len(first)
    centring = np.eye(n) - 1 / n
    K, L = (centring @ (each @ each.T) @ centring for each in (first, second))
    return float(np.sum(K * L) / np.sqrt(np.sum(K * K) * np.sum(L * L)))


def literal_debiased(first: Doubles, second: Doubles) -> float:
    """The same by the unbiased estimator, written out from equation 5 of Song et al. (2012)."""
    n, one = len(first), np.ones(len(first))

    def hsic(A: Doubles, B: Doubles) -> float:
        K, L = ((each @ each.T) * (1 - np.eye(n)) for each in (A, B))
        total = np.trace(K @ L) + (one @ K @ one) * (one @ L @ one) / ((n - 1) * (n - 2))
        return float((total - 2 / (n - 2) * (one @ K @ L @ one)) / (n * (n - 3)))

    return hsic(first, second) / float(np.sqrt(hsic(first, first) * hsic(second, second)))


@pytest.fixture(scope="module")
def pair(world: World, tmp_path_factory: pytest.TempPathFactory) -> belvedere.Store:
    """A store with two models of different sizes, forty pictures, one of them broken, and texts."""
    folder = tmp_path_factory.mktemp("pair")
    photos = add_pictures(folder / "photos", range(IMAGES))
    (photos / f"{BROKEN:05}.png").write_bytes(picture(BROKEN)[:60])
    store = World(world.clip, photos).store(folder / "store")
    other = make_clip(folder / "other", seed=5, layers=3, head_width=4, embed_dim=10)
    store.add_model("n", f"open_clip:local-dir:{other}")
    table = folder / "texts.csv"
    lines = [
        f"{size} {thing},{thing}" for size in ("a small", "a big", "no") for thing in ("dog", "hat", "cow")
    ]
    table.write_text("\n".join(["text,category", *lines, f"{'very ' * 20}long,dog"]))
    store.add_texts("kinds", table)
    return store


def dense(store: belvedere.Store, model: str) -> Doubles:
    read = [image for image in range(IMAGES) if image != BROKEN]
    found: Doubles = store.view("head_contributions", model=model)[read].astype(np.float64)
    return found


@pytest.mark.parametrize("debiased", [False, True])
def test_alignment_is_that_of_dense_contributions(pair: belvedere.Store, debiased: bool) -> None:
    view = pair.view("head_similarities", measure="cka", model="m", other="n", debiased=debiased)
    rows = view.arrow().to_pylist()
    first, second = dense(pair, "m"), dense(pair, "n")
    assert len(rows) == 2 * 2 * 3 * 4
    literal = literal_debiased if debiased else literal_cka
    for row in rows:
        expected = literal(
            first[:, row["layer"], row["head"]], second[:, row["other_layer"], row["other_head"]]
        )
        assert row["score"] == pytest.approx(expected, abs=1e-5)
    assert {(row["model"], row["other"], row["measure"]) for row in rows} == {
        ("m", "n", "debiased_cka" if debiased else "cka")
    }


@pytest.mark.parametrize("convention", ["own", "clip_prs"])
@pytest.mark.parametrize("images", [5, 60])
def test_alignment_from_factors_is_exact(convention: str, images: int) -> None:
    first, second = layer(images), layer(images, seed=1, heads=3, head_dim=6, joint=20)
    found = Alignment()
    sides = [
        (each, rows_of(each.moments(), each.joint_maps(convention)))  # type: ignore[arg-type]
        for each in (first, second)
    ]
    for start in range(0, images, 7):
        some = slice(start, start + 7)
        found.add(
            *(
                rows.of(
                    augment(each.factor[some, 0], *(scalar[some] for scalar in each.scalars))[
                        ..., 1 : 1 + rows.roots.shape[1]
                    ]
                )
                for each, rows in sides
            )
        )
    mine, theirs = (each.contributions(convention) for each in (first, second))  # type: ignore[arg-type]
    for head, other in np.ndindex(2, 3):
        pair = mine[head], theirs[other]
        assert found.scores(debiased=False)[head, other] == pytest.approx(literal_cka(*pair), abs=1e-9)
        assert found.scores(debiased=True)[head, other] == pytest.approx(literal_debiased(*pair), abs=1e-7)


def test_a_head_that_writes_the_same_for_all_has_no_alignment() -> None:
    same = layer(1)
    rows = rows_of(60 * same.moments(), same.joint_maps("own"))
    assert not rows.there.any()
    found = Alignment()
    found.add(np.zeros((1, 3, 2)), np.ones((1, 3, 2)))
    assert np.isnan(found.scores(debiased=False)).all()
    assert np.isnan(found.scores(debiased=True)).all()


def test_a_head_is_aligned_with_itself_by_all_measures(pair: belvedere.Store) -> None:
    for measure in ("cka", "descriptions", "roles"):
        asked = {} if measure == "cka" else {"texts": "kinds"}
        table = pair.view("head_similarities", measure=measure, model="m", other="m", **asked)
        rows = table.arrow().to_pylist()
        own = [r for r in rows if (r["layer"], r["head"]) == (r["other_layer"], r["other_head"])]
        assert [row["score"] for row in own] == pytest.approx([1] * 4)
        assert all(row["score"] <= 1 + 1e-9 for row in rows)


def test_descriptions_are_correlated_as_dense_projections_are(pair: belvedere.Store) -> None:
    table = pair.view("head_similarities", measure="descriptions", model="m", other="n", texts="kinds")
    rows = table.arrow().to_pylist()
    shares = []
    for name in ("m", "n"):
        words = pair.view("text_embeddings", model=name, texts="kinds")[:9].astype(np.float64)
        apart = words - words.mean(axis=0)
        apart /= np.linalg.norm(apart, axis=1, keepdims=True)
        c = dense(pair, name)
        along = np.einsum("ilhj,tj->tilh", c, apart)
        shares.append(along.var(axis=1, ddof=1) / c.var(axis=0, ddof=1).sum(-1))
    for row in rows:
        mine, theirs = (
            shares[0][:, row["layer"], row["head"]],
            shares[1][:, row["other_layer"], row["other_head"]],
        )
        assert row["score"] == pytest.approx(np.corrcoef(mine, theirs)[0, 1], abs=1e-4)


def test_roles_overlap_by_what_each_category_explains(pair: belvedere.Store) -> None:
    rows = pair.view("head_similarities", measure="roles", model="m", other="n", texts="kinds").arrow()
    described = {
        name: pair.view("head_descriptions", model=name, texts="kinds", m=60).arrow().to_pylist()
        for name in ("m", "n")
    }
    pool = pair.sql("SELECT category FROM texts WHERE text_set = 'kinds' ORDER BY text_id").fetchall()

    def shares(name: str, layer: int, head: int) -> Doubles:
        mine = [row for row in described[name] if (row["layer"], row["head"]) == (layer, head)]
        kinds = ("dog", "hat", "cow")
        found = [sum(row["variance"] for row in mine if pool[row["text_id"]][0] == kind) for kind in kinds]
        scaled: Doubles = np.array(found) / sum(found)
        return scaled

    for row in rows.to_pylist():
        both = shares("m", row["layer"], row["head"]), shares("n", row["other_layer"], row["other_head"])
        assert row["score"] == pytest.approx(np.minimum(*both).sum())


def test_the_likest_heads_are_found_by_sql(pair: belvedere.Store) -> None:
    measures = ("cka", "descriptions", "roles")
    for measure in measures:
        asked = {} if measure == "cka" else {"texts": "kinds"}
        view = pair.view("head_similarities", measure=measure, model="m", other="n", **asked)
        assert view.fill(progress=False).complete
    found = pair.sql(
        "SELECT measure, layer, head, arg_max(other_layer, score), max(score) FROM head_similarities "
        "WHERE model = 'm' AND other = 'n' GROUP BY ALL ORDER BY ALL"
    )
    assert [row[:3] for row in found.fetchall()] == [
        (measure, layer, head) for measure in measures for layer in (0, 1) for head in (0, 1)
    ]


def test_the_same_model_under_two_names_is_called_as_it_was_asked_for(pair: belvedere.Store) -> None:
    pair.add_model("k", pair._engine.folder.names.model("n").source)
    for name in ("n", "k"):
        assert pair.view("head_cka", model="m", other=name).fill(progress=False).complete
        assert set(pair.view("head_cka", model="m", other=name).df()["other"]) == {name}
    query = (
        "SELECT other, count(*) FROM {} WHERE model = 'm' AND other IN ('n', 'k') GROUP BY other ORDER BY 1"
    )
    assert pair.sql(query.format("head_cka")).fetchall() == [("k", 48), ("n", 48)]
    assert pair.sql("SELECT count(*) FROM head_cka WHERE model = 'm' AND other = 'k'").fetchall() == [(48,)]
    pair.publish(thumbnails=0, progress=False)
    with duckdb.connect(str(pair.path / "catalog.duckdb"), read_only=True) as catalog:
        assert catalog.sql(query.format("head_cka")).fetchall() == [("k", 48), ("n", 48)]
    pair.remove("k")


def test_only_pairs_that_were_compared_are_looked_for(world: World, tmp_path: Path) -> None:
    store = world.store(tmp_path / "store")
    store.add_images("few", sql="SELECT image_set, image_id FROM images WHERE image_id < 8")
    model = store.sql("SELECT model FROM models").fetchall()[0][0]
    for seed in (5, 6):
        other = make_clip(tmp_path / str(seed), seed=seed, layers=3, head_width=4, embed_dim=10)
        store.add_model(f"other{seed}", f"open_clip:local-dir:{other}")
    table = store.view("head_cka", model=model, other="other5", images="few")
    assert table.fill(progress=False).complete
    answer = store.sql("SELECT count(*) FROM head_similarities")
    assert answer.completeness.complete
    assert answer.fetchall() == [(len(table.df()),)]
    another = make_clip(tmp_path / "another", seed=7, layers=3, head_width=4, embed_dim=10)
    store.add_model("other5", f"open_clip:local-dir:{another}", replace=True)
    with pytest.warns(belvedere.IncompleteAnswer, match="other5"):
        assert store.sql("SELECT * FROM head_similarities").fetchall() == []


def test_no_model_runs_where_contributions_are_kept(pair: belvedere.Store) -> None:
    dense(pair, "m")
    dense(pair, "n")
    with belvedere.trace() as seen:
        assert pair.view("head_cka", model="n", other="m").fill(progress=False).complete
    assert seen.of("load") == []


def test_what_cannot_be_compared_is_refused_by_name(pair: belvedere.Store) -> None:
    with pytest.raises(BadSource, match="needs other=…; there are m, n"):
        pair.view("head_similarities", model="m")
    with pytest.raises(UnknownName, match="no model 'nn'"):
        pair.view("head_similarities", model="m", other="nn")
    with pytest.raises(UnknownName, match="no value of head_similarities's measure 'ck'; did you mean 'cka'"):
        pair.view("head_similarities", model="m", other="n", measure="ck")
    with pytest.raises(
        UnknownName, match=r"no input of head_similarities with measure 'cka', one of .*: 'texts'"
    ):
        pair.view("head_similarities", model="m", other="n", texts="kinds")
