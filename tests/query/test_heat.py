"""Heat on contact sheets is what each patch adds along a description, on the part that the model sees."""

from __future__ import annotations

import numpy as np
import pytest

import belvedere
from belvedere.compute.images.stretch import over_input
from belvedere.store.errors import BadSource
from tests.worlds import TEXTS


def test_the_heat_of_a_head_is_what_its_patches_add(filled: belvedere.Store) -> None:
    found = filled.top("1.0", count=2, heat=True)
    tokens = filled.view("token_contributions")
    texts = filled.view("text_embeddings")[...]
    described = [row for row in found.sheet.rows if not row.title.startswith("component")]
    assert len(described) == 4
    for row in described:
        rows = found.rows[found.rows.direction == row.title]
        tiles = [tile for group in row.groups for tile in group]
        ranks = [0, 1, -1, -2]
        for tile, rank in zip(tiles, ranks, strict=True):
            image = int(rows[rows["rank"] == rank].image_id.iloc[0])
            literal = tokens[image, 1, 0][1:] @ texts[TEXTS.index(row.title)]
            assert tile.heat is not None
            whole = over_input(literal.reshape(2, 2), (16, 16))  # a square is seen whole
            np.testing.assert_allclose(tile.heat, whole, atol=1e-6)
    assert all(tile.heat is None for row in found.sheet.rows[4:] for group in row.groups for tile in group)


def test_a_neuron_has_no_heat(filled: belvedere.Store) -> None:
    with pytest.raises(BadSource, match="is a neuron; texts, directions and heat are those of heads"):
        filled.top("visual:0", heat=True)
