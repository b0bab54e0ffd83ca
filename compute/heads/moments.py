"""Moments of the heads' factors: one small matrix per head that stands for any number of images.

For each image a head is known by its factor s = sum_i alpha_i v_i and the image by three numbers: sigma and
mu of the final LayerNorm, and the norm n of the embedding. The augmented factor

    s~ = [ s / (sigma n) ; 1 / (sigma n) ; mu / (sigma n) ; 1 / n ]              (head_dim + 3 numbers)

is linear in what the head writes: c = M~ s~ for a fixed matrix M~ (`joint_maps`). So the count, the sum and
the uncentred second moment of s~ say all about the head that second-order statistics can say, under either
convention: they lie together in sum_i [1; s~][1; s~]^T, of shape factor x factor with factor = head_dim +
4. The moments of a union are the sum of the moments; nothing else is needed to append images.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .conventions import Convention

Floats = NDArray[np.floating[Any]]
Doubles = NDArray[np.float64]

EXTRA = 4
"""Coordinates of [1; s~] beside the head_dim ones of s: the leading 1 and three scalars of the image."""

ONE_THREAD = 2**18
"""Multiplications up to which numpy's OpenBLAS keeps a matrix product on the calling thread.

Products as thin as those here gain nothing from threads, and where other work shares the cores, waiting for
the second thread at each of many thousands of products costs some twenty times the product itself.
"""


def augment(factor: Floats, sigma: Floats, mu: Floats, norm: Floats) -> Doubles:
    """[1; s~] of every image and head in float64: "image head head_dim" to "head image factor"."""
    images, heads, head_dim = factor.shape
    scale = 1.0 / (sigma.astype(np.float64) * norm)
    augmented = np.empty((heads, images, head_dim + EXTRA))
    augmented[..., 0] = 1.0
    np.multiply(factor.transpose(1, 0, 2), scale[:, None], out=augmented[..., 1:-3])
    augmented[..., -3] = scale
    augmented[..., -2] = mu * scale
    augmented[..., -1] = 1.0 / norm.astype(np.float64)
    return augmented


def moments(factor: Floats, sigma: Floats, mu: Floats, norm: Floats) -> Doubles:
    """sum_i [1; s~_i][1; s~_i]^T over the readable images, in float64: "layer head factor factor".

    `factor` is "image layer head head_dim" in any floating type; `sigma`, `mu` and `norm` are "image". An
    image with a NaN anywhere is one that could not be read, and is left out. Memory does not grow with the
    number of images.
    """
    images, layers, heads, head_dim = factor.shape
    total = np.zeros((layers, heads, head_dim + EXTRA, head_dim + EXTRA))
    step = max(1, ONE_THREAD // total[0, 0].size)
    for start in range(0, images, step):
        block = slice(start, start + step)
        keep = _readable(factor[block], sigma[block], mu[block], norm[block])
        scalars = (sigma[block][keep], mu[block][keep], norm[block][keep])
        for layer in range(layers):
            augmented = augment(factor[block, layer][keep], *scalars)
            total[layer] += augmented.transpose(0, 2, 1) @ augmented
    return total


def _readable(factor: Floats, *scalars: Floats) -> NDArray[np.bool_]:
    """Which images hold no NaN."""
    missing = np.isnan(np.column_stack([factor.reshape(len(factor), -1), *scalars]))
    broken: NDArray[np.bool_] = np.logical_or.reduce(missing, axis=1)
    return ~broken


def merge(first: Doubles, second: Doubles) -> Doubles:
    """Moments of the images of both, which must be different images: their sum, in either form."""
    return first + second


def pack(full: Doubles) -> Doubles:
    """The lower triangle, row by row: "... factor factor" to "... packed", factor * (factor + 1) / 2."""
    rows, columns = np.tril_indices(full.shape[-1])
    return np.ascontiguousarray(full[..., rows, columns])


def unpack(packed: Doubles) -> Doubles:
    """The symmetric matrices that `pack` was given: "... packed" to "... factor factor"."""
    factor = (int(np.sqrt(8 * packed.shape[-1] + 1)) - 1) // 2
    rows, columns = np.tril_indices(factor)
    full = np.empty((*packed.shape[:-1], factor, factor))
    full[..., rows, columns] = packed
    full[..., columns, rows] = packed
    return full


@dataclass(frozen=True, slots=True)
class Statistics:
    """What moments say of the coordinates of s~ that a convention uses."""

    count: int
    """Images counted."""
    mean: Doubles
    """Mean, "coordinate"."""
    second: Doubles
    """Uncentred mean square, "coordinate coordinate"."""
    covariance: Doubles
    """Unbiased covariance, "coordinate coordinate"; zero where fewer than two images leave it undefined."""


def statistics(moments_lh: Doubles, coordinates: int) -> Statistics:
    """Statistics of the first `coordinates` of s~, from the moments of one head ("factor factor")."""
    count = round(float(moments_lh[0, 0]))
    used = slice(1, 1 + coordinates)
    mean = moments_lh[0, used] / max(count, 1)
    second = moments_lh[used, used] / max(count, 1)
    centred = second - np.outer(mean, mean)
    covariance = centred * (count / (count - 1)) if count > 1 else np.zeros_like(centred)
    return Statistics(count=count, mean=mean, second=second, covariance=covariance)


def joint_maps(
    head_map: Floats,
    head_mean: Floats,
    attn_bias: Floats,
    attn_bias_mean: float,
    *,
    gain: Floats,
    bias: Floats,
    terms: int,
    convention: Convention,
) -> Doubles:
    """M~ of each head of one layer, so that c = M~ s~: "head joint coordinate", in float64.

    Taken are the layer's constants of the model: with P the projection, g and b the final LayerNorm's
    weight and bias, and C = I - 11^T/width the centring, `head_map` "head joint head_dim" is P^T diag(g) C
    W_O, `head_mean` "head head_dim" is 1^T W_O / width, `attn_bias` "joint" is P^T diag(g) C b_O,
    `attn_bias_mean` the mean of b_O, `gain` "joint" is P^T g, `bias` "joint" is P^T b; `terms` is 2 *
    layers + 1.

    "own" has the head_dim coordinates of s / (sigma n) alone: each term is centred by its own mean, and
    biases are terms of their own. "clip_prs" has all head_dim + 3: the LayerNorm's mean and bias are split
    evenly over the terms and a layer's output bias over its heads, as in the code published with the paper.
    """
    if convention == "own":
        return head_map.astype(np.float64)
    heads, joint, _ = head_map.shape
    raw_map = head_map + gain[:, None] * head_mean.astype(np.float64)[:, None, :]
    raw_bias = attn_bias + gain.astype(np.float64) * attn_bias_mean
    constants = np.stack([raw_bias / heads, -gain / (terms * heads), bias / (terms * heads)], axis=-1)
    return np.concatenate([raw_map, np.broadcast_to(constants, (heads, joint, 3))], axis=-1)
