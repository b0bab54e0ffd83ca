"""What each token adds sums to what the head adds, and is kept eight images at a time."""

from __future__ import annotations

import numpy as np
import pytest

import belvedere


@pytest.mark.parametrize("convention", ["own", "clip_prs"])
def test_tokens_sum_to_heads(store: belvedere.Store, convention: str) -> None:
    tokens = store.view("token_contributions", convention=convention)
    heads = store.view("head_contributions", convention=convention)
    assert tokens.dims == ("image", "layer", "head", "token", "joint")
    assert tokens.shape == (300, 2, 2, 5, 12)
    summed = tokens[:20].sum(axis=3)
    assert np.abs(summed - heads[:20]).max() <= 1e-6 * np.abs(summed).max()


def test_a_unit_is_eight_images(store: belvedere.Store) -> None:
    tokens = store.view("token_contributions")
    with belvedere.trace() as seen:
        one = tokens[9, 1, 0, 3]
    assert one.shape == (12,)
    assert [each.split("[")[1] for each in seen.of("compute")] == ["layer 0:2]", "image 8:16]"]
    assert tokens.status().ready == 1
    assert np.array_equal(tokens[8:12][1, 1, 0, 3], one)


def test_a_part_reads_as_the_whole_does(store: belvedere.Store) -> None:
    whole = store.view("token_contributions", convention="clip_prs")[:8]
    part = store.view("token_contributions", convention="clip_prs")[[5, 2], 1:, :, 2:4, ::3]
    assert np.allclose(part, whole[[5, 2], 1:, :, 2:4, ::3], atol=1e-7)
