"""What moments say of directions is what variances over the dense contributions say."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

from belvedere.compute.heads.conventions import Convention
from belvedere.compute.heads.moments import Doubles, Floats
from belvedere.compute.heads.spread import apart, spread
from tests.compute.random_heads import layer, pool

CONVENTIONS = get_args(Convention)


def literal(c: Doubles, directions: Floats) -> tuple[Doubles, Doubles, Doubles]:
    """Variance, share and mean "direction head" of contributions "head image joint", one head at a time."""
    found = [
        (np.var(head @ u, ddof=1), np.var(head @ u, ddof=1) / np.trace(np.cov(head.T)), np.mean(head @ u))
        for u in directions.astype(np.float64)
        for head in c
    ]
    variance, share, mean = np.array(found).reshape(len(directions), len(c), 3).transpose(2, 0, 1)
    return variance, share, mean


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_spread_is_the_variance_of_the_projections(convention: Convention) -> None:
    images, texts = layer(), pool(7)
    found = spread(images.moments(), images.joint_maps(convention), texts)
    expected = literal(images.contributions(convention), texts)
    for name, each in zip(("variance", "share", "mean"), expected, strict=True):
        np.testing.assert_allclose(getattr(found, name), each, rtol=1e-9, err_msg=name)


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_shares_of_orthonormal_directions_add_up_to_one(convention: Convention) -> None:
    images = layer()
    found = spread(images.moments(), images.joint_maps(convention), np.eye(24))
    np.testing.assert_allclose(found.share.sum(axis=0), 1, rtol=1e-12)


def test_images_that_could_not_be_read_do_not_count() -> None:
    images, texts = layer(), pool(3)
    broken = images.factor.copy()
    broken[[4, 17]] = np.nan
    kept = np.delete(images.contributions("own"), [4, 17], axis=1)
    found = spread(replace(images, factor=broken).moments(), images.joint_maps("own"), texts)
    np.testing.assert_allclose(found.share, literal(kept, texts)[1], rtol=1e-9)


def test_a_head_that_writes_the_same_for_all_images_has_no_share() -> None:
    images = layer()
    same = replace(
        images,
        factor=np.where(np.arange(2)[:, None] == 1, images.factor[:1], images.factor),
        **{name: np.full_like(getattr(images, name), 2.0) for name in ("sigma", "mu", "norm")},
    )
    found = spread(same.moments(), same.joint_maps("clip_prs"), pool(3))
    assert np.isnan(found.share).tolist() == [[False, True]] * 3
    np.testing.assert_allclose(found.variance[:, 1], 0, atol=1e-12)


def test_one_image_has_a_mean_and_no_share() -> None:
    images, texts = layer(1), pool(3)
    found = spread(images.moments(), images.joint_maps("own"), texts)
    assert np.isnan(found.share).all()
    expected = np.einsum("hij,tj->th", images.contributions("own"), texts)
    np.testing.assert_allclose(found.mean, expected, rtol=1e-9)


def test_what_all_texts_share_is_taken_off() -> None:
    texts = pool(50).astype(np.float64)
    alone = texts[:3] - texts.mean(axis=0)
    np.testing.assert_allclose(apart(texts[:3], texts), alone / np.linalg.norm(alone, axis=1)[:, None])
    np.testing.assert_allclose(apart(texts[:3]), texts[:3], rtol=1e-6)


def test_a_text_that_is_all_that_the_pool_has_cannot_be_told_from_it() -> None:
    texts = pool(2)
    assert np.isnan(apart(texts, texts[:1])).all(axis=1).tolist() == [True, False]


def test_a_head_that_varies_along_what_all_texts_share_is_not_the_answer_to_each() -> None:
    normal = np.random.default_rng(3).standard_normal
    shared, asked = np.eye(24)[0], np.eye(24)[1]
    common, specific = normal((2, 500, 1)) * np.stack([shared, asked])[:, None] + 0.1 * normal((2, 500, 24))
    texts = 2 * shared + np.vstack([asked, normal((40, 24)) / np.sqrt(24)])
    texts /= np.linalg.norm(texts, axis=1, keepdims=True)
    alone = [
        literal(np.stack([common, specific]), each)[1][0] for each in (texts[:1], apart(texts[:1], texts))
    ]
    assert [int(np.argmax(shares)) for shares in alone] == [0, 1]
