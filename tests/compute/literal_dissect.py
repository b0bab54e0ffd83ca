"""The similarity functions of CLIP-Dissect as their definitions read, in float64 and all at once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]


def cosines(images: NDArray[Any], texts: NDArray[Any]) -> Doubles:
    """The cosine of every image and every text."""
    found: Doubles = images.astype(np.float64) @ texts.astype(np.float64).T
    return found


def soft_wpmi(
    cosine: Doubles, given: Doubles, *, top_k: int, a: float, lam: float, p_start: float, p_end: float
) -> Doubles:
    """Log-likelihoods with soft membership of the top images, less their common part."""
    share = np.exp(a * cosine) / np.exp(a * cosine).sum(axis=1, keepdims=True)
    likelihood = np.zeros((given.shape[1], cosine.shape[1]), cosine.dtype)
    for neuron in range(given.shape[1]):
        for rank, image in enumerate(np.argsort(-given[:, neuron], kind="stable")[:top_k]):
            p = p_start - rank / top_k * (p_start - p_end)
            likelihood[neuron] += np.log(1 + p * (share[image] - 1) + 1e-7)
    return likelihood - lam * prior(likelihood)


def wpmi(cosine: Doubles, given: Doubles, *, top_k: int, a: float, lam: float) -> Doubles:
    """Log-likelihoods of the top images, less their common part."""
    share = np.exp(a * cosine) / np.exp(a * cosine).sum(axis=1, keepdims=True)
    likelihood = np.zeros((given.shape[1], cosine.shape[1]))
    for neuron in range(given.shape[1]):
        for image in np.argsort(-given[:, neuron], kind="stable")[:top_k]:
            likelihood[neuron] += np.log(share[image] + 1e-7)
    return likelihood - lam * prior(likelihood)


def prior(likelihood: Doubles) -> Doubles:
    """The logarithm of the mean likelihood over the neurons of a layer."""
    most = likelihood.max()
    found: Doubles = most + np.log(np.exp(likelihood - most).sum(axis=0)) - np.log(len(likelihood))
    return found


def cos_similarity(cosine: Doubles, given: Doubles) -> Doubles:
    """The cosine of each neuron's column and each text's."""
    found = np.zeros((given.shape[1], cosine.shape[1]))
    for neuron in range(given.shape[1]):
        for text in range(cosine.shape[1]):
            q, c = given[:, neuron], cosine[:, text]
            found[neuron, text] = q @ c / np.sqrt((q @ q) * (c @ c))
    return found


def cos_similarity_cubed(cosine: Doubles, given: Doubles) -> Doubles:
    """The cosine of centred and cubed columns; norms below 1e-3 count as 1e-3."""
    q, c = (given - given.mean(axis=0)) ** 3, (cosine - cosine.mean(axis=0)) ** 3
    q = q / np.maximum(np.linalg.norm(q, axis=0), 1e-3)
    c = c / np.maximum(np.linalg.norm(c, axis=0), 1e-3)
    found: Doubles = q.T @ c
    return found


def rank_reorder(cosine: Doubles, given: Doubles, *, count: int, p: float, scale: float) -> Doubles:
    """What it costs to order a neuron's top activations by a text's cosines, negated."""
    found = np.zeros((given.shape[1], cosine.shape[1]))
    dice = np.random.default_rng(0)
    orders = [dice.permutation(count) for _ in range(5)]
    for neuron in range(given.shape[1]):
        images = np.argsort(-given[:, neuron], kind="stable")[:count]
        rising = np.sort(given[images, neuron])
        usual = np.mean([np.abs(rising - rising[order]) ** p for order in orders])
        for text in range(cosine.shape[1]):
            order = np.argsort(cosine[images, text], kind="stable")
            again = np.empty(count)
            again[order] = rising  # the image with the smallest cosine gets the smallest activation
            error = np.mean(np.abs(given[images, neuron] - again) ** p) / usual
            mean = cosine[images, text].mean()
            found[neuron, text] = -error / mean**scale if mean > 0 else -np.inf
    return found
