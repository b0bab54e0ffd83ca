"""Moments say of any number of images what naive sums over them say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from belvedere.compute.heads.conventions import Convention
from belvedere.compute.heads.moments import (
    ONE_THREAD,
    Doubles,
    augment,
    merge,
    moments,
    pack,
    statistics,
    unpack,
)
from tests.compute.random_heads import Layer, layer


def part(whole: Layer, images: Any) -> Layer:
    factor, sigma, mu, norm = (array[images] for array in (whole.factor, *whole.scalars))
    return replace(whole, factor=factor, sigma=sigma, mu=mu, norm=norm)


def naive(images: Layer) -> Doubles:
    """sum [1; s~][1; s~]^T of each head, one image after the other."""
    _, _, heads, head_dim = images.factor.shape
    total = np.zeros((heads, head_dim + 4, head_dim + 4))
    for image, (sigma, mu, norm) in enumerate(zip(*images.scalars, strict=True)):
        for head in range(heads):
            s = images.factor[image, 0, head].astype(np.float64) / (float(sigma) * float(norm))
            scalars = [
                1 / (float(sigma) * float(norm)),
                float(mu) / (float(sigma) * float(norm)),
                1 / float(norm),
            ]
            one = np.concatenate([[1.0], s, scalars])
            total[head] += np.outer(one, one)
    return total


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_moments_are_the_naive_sums_in_float64(dtype: type[np.floating[Any]]) -> None:
    images = layer()
    images = replace(images, factor=images.factor.astype(dtype))
    found = images.moments()
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, naive(images), rtol=1e-13)


def test_blocks_of_images_add_up() -> None:
    factor = 40
    images = layer(3 * (ONE_THREAD // factor**2) + 5, head_dim=factor - 4)
    np.testing.assert_allclose(images.moments(), naive(images), rtol=1e-12)


def test_each_layer_has_its_own_moments() -> None:
    first, second = layer(seed=0), layer(seed=1)
    both = moments(np.concatenate([first.factor, second.factor], axis=1), *first.scalars)
    np.testing.assert_allclose(both[0], first.moments(), rtol=1e-14)
    np.testing.assert_allclose(both[1], moments(second.factor, *first.scalars)[0], rtol=1e-14)


def test_moments_are_symmetric_to_the_bit() -> None:
    found = layer().moments()
    assert np.array_equal(found, found.transpose(0, 2, 1))


def test_unreadable_images_are_left_out() -> None:
    images = layer()
    images.factor[3], images.sigma[3], images.mu[3], images.norm[3] = 4 * [np.nan]
    images.norm[17] = np.nan
    readable = part(images, np.delete(np.arange(60), [3, 17]))
    assert images.moments()[0, 0, 0] == 58
    np.testing.assert_allclose(images.moments(), readable.moments(), rtol=1e-14)


def test_merged_shards_equal_the_whole() -> None:
    images = layer()
    shards = [part(images, slice(start, start + 23)).moments() for start in range(0, 60, 23)]
    np.testing.assert_allclose(merge(merge(shards[0], shards[1]), shards[2]), images.moments(), rtol=1e-13)


def test_the_order_of_images_does_not_matter() -> None:
    images = layer()
    shuffled = part(images, np.random.default_rng(5).permutation(60))
    np.testing.assert_allclose(shuffled.moments(), images.moments(), rtol=1e-13)


def test_no_images_have_no_moments() -> None:
    assert not part(layer(), slice(0)).moments().any()


def test_packing_keeps_each_number_once_and_loses_none() -> None:
    full = moments(layer().factor, *layer().scalars)
    packed = pack(full)
    assert packed.shape == (1, 2, 12 * 13 // 2)
    assert np.array_equal(unpack(packed), full)
    assert np.array_equal(unpack(merge(packed, packed)), merge(full, full))


@pytest.mark.parametrize("coordinates", [8, 11])
def test_statistics_are_those_of_the_coordinates_in_use(coordinates: int) -> None:
    images = layer()
    rows = augment(images.factor[:, 0], *images.scalars)[1][:, 1 : 1 + coordinates]
    seen = statistics(images.moments()[1], coordinates)
    assert seen.count == 60
    np.testing.assert_allclose(seen.mean, rows.mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(seen.second, rows.T @ rows / 60, rtol=1e-12)
    np.testing.assert_allclose(seen.covariance, np.cov(rows.T), rtol=1e-9, atol=1e-16)


@pytest.mark.parametrize("images", [0, 1])
def test_fewer_than_two_images_have_no_covariance(images: int) -> None:
    seen = statistics(part(layer(), slice(images)).moments()[0], 8)
    assert seen.count == images
    assert not seen.covariance.any()


@pytest.mark.parametrize("convention", ["own", "clip_prs"])
def test_joint_maps_turn_augmented_factors_into_contributions(convention: Convention) -> None:
    images = layer()
    maps = images.joint_maps(convention)
    coordinates = augment(images.factor[:, 0], *images.scalars)[..., 1 : 1 + maps.shape[-1]]
    found = coordinates @ maps.transpose(0, 2, 1)
    np.testing.assert_allclose(found, images.contributions(convention), rtol=1e-12, atol=1e-14)
