"""The whole way on a world whose truth is known: from pictures to descriptions and roles of heads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import belvedere
from belvedere.demo.scenes import Scene
from tests.compute.literal_textspan import literal_textspan, project

Doubles = NDArray[np.float64]


@pytest.fixture(scope="module")
def demo(
    pixels: NDArray[np.uint8], tests: Sequence[Scene], tmp_path_factory: pytest.TempPathFactory
) -> belvedere.Store:
    """A store of the demo's model, its 2,000 scenes as files, and its pool, with the roles filled."""
    folder = tmp_path_factory.mktemp("demo")
    rows = ["path,label,grp"]
    for number, (scene, picture) in enumerate(zip(tests, pixels, strict=True)):
        Image.fromarray(picture).save(folder / f"{number:04}.png", compress_level=1)
        rows.append(f"{number:04}.png,{scene.label},{scene.grp}")
    (folder / "scenes.csv").write_text("\n".join(rows))
    store = belvedere.open(folder / "store")
    store.add_model("clip", "demo:clip")
    store.add_images("scenes", folder / "scenes.csv")
    store.add_texts("pool", "demo:scenes")
    assert store.view("head_roles").fill().complete
    return store


def exact_contributions(store: belvedere.Store) -> tuple[Doubles, Doubles]:
    """Multiply the stored factors out in float64; give c "image layer head joint" and the maps."""
    view = store.view("head_contributions")._view
    parts = store._engine.reader
    factor = parts.array(view, "factor").astype(np.float64)
    sigma, _, norm = parts.array(view, "scalars").astype(np.float64).T
    maps = store.view("tower_maps")[:].astype(np.float64)
    return np.einsum(
        "kilhd,lhjd->klhj", factor[:, None] / (sigma * norm)[:, None, None, None, None], maps
    ), maps


def test_textspan_picks_what_algorithm_1_picks(demo: belvedere.Store) -> None:
    contributions, maps = exact_contributions(demo)
    texts = demo.view("text_embeddings")[:].astype(np.float64)
    rows = demo.view("head_descriptions").df()
    for layer, head in np.ndindex(*maps.shape[:2]):
        if (layer + head) % 2:  # half of them, of all layers
            continue
        basis = np.linalg.qr(maps[layer, head])[0].T
        picked, _ = literal_textspan(contributions[:, layer, head], project(texts, basis), 20)[:2]
        ours = rows[(rows["layer"] == layer) & (rows["head"] == head)].sort_values("rank")
        assert ours["text_id"].tolist() == list(picked), (layer, head)


def explained(values: Doubles, groups: Sequence[str]) -> float:
    """Tell which share of the variance of "image joint" lies between groups (eta squared)."""
    centred = values - values.mean(0)
    names = np.array(groups)
    between = sum(
        (names == name).sum() * (centred[names == name].mean(0) ** 2).sum() for name in np.unique(names)
    )
    return float(between / (centred**2).sum())


def test_roles_name_the_attribute_that_explains_most(demo: belvedere.Store, tests: Sequence[Scene]) -> None:
    contributions, maps = exact_contributions(demo)
    roles = {(row.layer, row.head): row.role for row in demo.view("head_roles").df().itertuples()}
    judged: dict[tuple[int, int], tuple[str, str]] = {}
    for layer, head in np.ndindex(*maps.shape[:2]):
        shares = {
            name: explained(contributions[:, layer, head], [scene.attributes[name] for scene in tests])
            for name in tests[0].attributes
        }
        best = max(shares, key=lambda name: shares[name])
        if shares[best] >= 0.5:
            judged[layer, head] = (best, roles[layer, head])
    right = [best == role for best, role in judged.values()]
    assert len(right) >= 4, "some heads specialise"
    assert np.mean(right) >= 0.8, judged


def test_sql_joins_roles_and_descriptions_with_the_pool(demo: belvedere.Store) -> None:
    query = """
        SELECT r.layer, r.head, r.role, t.category
        FROM head_roles r
        JOIN head_descriptions d USING (model, image_set, text_set, layer, head)
        JOIN texts t USING (text_set, text_id)
        WHERE d.rank = 0 AND r.score > 0.5
    """
    rows: list[Any] = demo.sql(query, require_complete=True).fetchall()
    assert len(rows) >= 4
    assert np.mean([role == category for _, _, role, category in rows]) >= 0.8


def test_what_heads_mlps_and_the_rest_add_is_the_embedding(demo: belvedere.Store, tmp_path: Path) -> None:
    some = slice(0, 300, 7)
    for convention in ("own", "clip_prs"):
        total = demo.view("head_contributions", convention=convention)[some].sum((1, 2))
        total = total + demo.view("mlp_contributions", convention=convention)[some].sum(1)
        total = total + demo.view("residual_contributions", convention=convention)[some].sum(1)
        error = np.linalg.norm(total - demo.view("image_embeddings")[some], axis=1)
        assert error.max() <= 1e-5
