"""Heads are measured along what tells the texts of a category apart, as a literal sum over images does."""

from __future__ import annotations

import re
from itertools import product

import numpy as np
import pytest

import belvedere
from belvedere.demo.crossed import CROSSED_SEED, blurred, crossed_scene
from belvedere.demo.scenes import scene
from belvedere.store.errors import NoCategories
from belvedere.testing import ViewContract
from tests.readme import ROOT

TEXTS = """text,category
a dog,animal
a large dog,animal
no dog,animal
a hat,thing
a boat,thing
a star,alone
"""


@pytest.mark.parametrize("convention", ["own", "clip_prs"])
def test_shares_are_those_of_the_literal_projections(filled: belvedere.Store, convention: str) -> None:
    table = filled.path.parent / "texts.csv"
    table.write_text(TEXTS)
    filled.add_texts("kinds", table)
    found = filled.view("head_properties", texts="kinds", convention=convention).df()
    heads = filled.view("head_contributions", convention=convention)[:].astype(np.float64)
    texts = filled.view("text_embeddings", texts="kinds")[:].astype(np.float64)
    heads -= heads.mean(axis=0)
    assert found["property"].drop_duplicates().tolist() == ["animal", "thing", "alone"]
    for row in found.to_dict("records"):
        mine = {"animal": texts[:3], "thing": texts[3:5]}.get(row["property"])
        if mine is None:
            assert np.isnan(row["share"])
            assert np.isnan(row["variance"])
            continue
        deviations = mine - mine.mean(axis=0)
        written = heads[:, row["layer"], row["head"]]
        along = sum(np.square(written @ each).sum() for each in deviations)  # Σ_j Σ_k ⟨c_k, d_j⟩²
        widest = max(np.linalg.eigvalsh(deviations.T @ deviations))
        assert row["variance"] == pytest.approx(along / widest / (len(heads) - 1), rel=1e-4)
        assert row["share"] == pytest.approx(along / widest / np.square(written).sum(), rel=1e-4)
        assert row["texts"] == len(mine)


def test_texts_without_categories_are_refused_and_have_no_rows(filled: belvedere.Store) -> None:
    with pytest.raises(NoCategories, match="the texts 'words' have no categories: add them from a table"):
        filled.view("head_properties", texts="words")
    assert "none of the combinations" in str(filled.sql("SELECT * FROM head_properties").completeness)


class TestHeadProperties(ViewContract):
    view = "head_properties"


def test_crossed_scenes_have_both_shapes_on_both_backgrounds() -> None:
    first = [crossed_scene(index) for index in range(8)]
    cells = list(product(("star", "ring"), ("night", "water")))
    assert [(each.shape, each.background) for each in first] == cells * 2
    assert first[5].things == scene(5, seed=CROSSED_SEED).things


def test_blurring_averages_squares_and_rounds() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    found = blurred(pixels, 2)
    assert found[4, 5, 1] == int(np.floor(pixels[2:7, 3:8, 1].mean() + 0.5))
    assert found[0, 0, 0] == int(np.floor(np.pad(pixels[..., 0], 2, mode="edge")[:5, :5].mean() + 0.5))


def test_heads_that_the_method_chose_help_the_worst_group_and_random_ones_do_not() -> None:
    """The page's tables are real output (tests/test_readme.py): here is what they have to show."""
    page = (ROOT / "docs" / "ablation.md").read_text()
    table = page[page.index("components  sets  lowest") :]
    found = {
        name: [float(each) for each in rest.split()]
        for name, rest in re.findall(r"^(heads|none|random) +(.+)$", table, re.MULTILINE)
    }
    (_, _, chosen, _), (_, _, none, _), (sets, _, _, best) = (
        found[name] for name in ("heads", "none", "random")
    )
    assert chosen >= none + 0.1
    assert sets == 10
    assert chosen > best
