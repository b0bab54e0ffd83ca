"""Directions in the joint space along which a head's contributions are looked at, and images scored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .moments import Doubles, augment, statistics

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Directions:
    """Directions of each head of a layer, as weights of the coordinates of s̃ (`compute/heads/moments.py`)."""

    weights: Doubles
    """What a direction takes of each coordinate, "head coordinate direction"."""
    offset: Doubles
    """What is taken off each score, "head direction": the mean, for principal components."""

    def scores(self, factor: Floats, sigma: Floats, mu: Floats, norm: Floats) -> Doubles:
        """Score images: contributions times directions, "image head direction"; NaN where there is no image.

        `factor` is "image head head_dim", the others are "image".
        """
        coordinates = self.weights.shape[1]
        augmented = augment(factor, sigma, mu, norm)[..., 1 : 1 + coordinates]
        found: Doubles = augmented @ self.weights - self.offset[:, None]
        return found.transpose(1, 0, 2)


def along(maps: Doubles, vectors: Doubles) -> Directions:
    """Look along fixed vectors of the joint space: the score is c · v.

    `maps` is M~ "head joint coordinate", `vectors` is "head direction joint".
    """
    weights = np.einsum("hjc,hdj->hcd", maps, vectors)
    return Directions(weights, np.zeros(vectors.shape[:2]))


def components(maps: Doubles, moments: Doubles, count: int) -> Directions:
    """Look along the first principal components of each head's contributions: the score is (c - mean) · u.

    `maps` is M~ "head joint coordinate", `moments` is "head factor factor". A component's sign is such that
    its largest entry in the joint space is positive. Of a head whose contributions vary in fewer directions
    the rest score zero for every image.
    """
    found = [_components(*each, count) for each in zip(maps, moments, strict=True)]
    return Directions(np.stack([each.weights for each in found]), np.stack([each.offset for each in found]))


def _components(maps_h: Doubles, moments_lh: Doubles, count: int) -> Directions:
    known = statistics(moments_lh, maps_h.shape[1])
    values, vectors = np.linalg.eigh(known.covariance)
    spread = vectors * np.sqrt(np.clip(values, 0, None))
    shared = maps_h @ spread
    variances, turned = np.linalg.eigh(shared.T @ shared)
    variances, turned = variances[::-1][:count], turned[:, ::-1][:, :count]
    there = variances > 1e-12 * max(float(variances[0]), 1e-300)
    axes = (shared @ turned) * np.where(there, 1 / np.sqrt(np.where(there, variances, 1)), 0)
    axes = axes * np.where(np.take_along_axis(axes, np.abs(axes).argmax(0)[None], 0) < 0, -1.0, 1.0)
    axes = np.pad(axes, ((0, 0), (0, count - axes.shape[1])))
    weights = maps_h.T @ axes
    return Directions(weights, known.mean @ weights)


def joined(first: Directions, second: Directions) -> Directions:
    """Put the directions of both beside each other."""
    return Directions(
        np.concatenate([first.weights, second.weights], axis=2),
        np.concatenate([first.offset, second.offset], axis=1),
    )
