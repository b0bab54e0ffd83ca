"""CLIP-Dissect's similarities, block by block, are those of their definitions, in little memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from belvedere.compute.neurons import similarity
from belvedere.compute.neurons.similarity import Scored
from tests.compute import literal_dissect as literal

IMAGES, NEURONS, TEXTS, JOINT = 90, 7, 23, 12
SOFT: dict[str, Any] = {"a": 10.0, "lam": 1.0, "p_start": 0.998, "p_end": 0.97}


def units(dice: np.random.Generator, *shape: int) -> NDArray[np.float32]:
    """Unit vectors with a common part, as a CLIP's embeddings have."""
    found = dice.normal(size=shape) + 0.4
    unit: NDArray[np.float32] = (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)
    return unit


class World:
    """Embeddings of images and texts, and activations with ties, negative values and a mean that is not 0."""

    def __init__(self, seed: int = 0) -> None:
        dice = np.random.default_rng(seed)
        self.images, self.texts = units(dice, IMAGES, JOINT), units(dice, TEXTS, JOINT)
        self.given = (dice.normal(size=(IMAGES, NEURONS)) + 0.5).round(1)
        self.cosine = literal.cosines(self.images, self.texts)

    def top(self, k: int) -> NDArray[np.int64]:
        return np.argsort(-self.given, axis=0, kind="stable")[:k].T

    def read(self, images: slice) -> NDArray[np.float32]:
        return self.given[images].astype(np.float32)


@pytest.fixture(scope="module")
def world() -> World:
    return World()


def whole(scored: Iterator[Scored], neurons: int = NEURONS, texts: int = TEXTS) -> NDArray[np.float64]:
    """Put blocks together; each place is given once."""
    found = np.full((neurons, texts), np.nan)
    for place, block, scores, _ in scored:
        assert np.isnan(found[place, block]).all()
        found[place, block] = scores
    assert not np.isnan(found).any()
    return found


@pytest.mark.parametrize("numbers", [1, 300, 2**20])
@pytest.mark.parametrize(
    "other", [{}, {"a": 2.0, "lam": 0.6}, {"a": 80.0}, {"p_start": 1.0, "p_end": 1.0, "lam": 0.3}]
)
def test_soft_wpmi_is_its_definition_whatever_the_blocks(
    world: World, numbers: int, other: dict[str, Any]
) -> None:
    knobs = {**SOFT, **other}
    for k in (1, 20, IMAGES):
        found = whole(similarity.soft_wpmi(world.top(k), world.images, world.texts, numbers=numbers, **knobs))
        expected = literal.soft_wpmi(world.cosine, world.given, top_k=k, **knobs)
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-10)


def test_what_is_lost_beside_1_minus_p_is_kept(world: World) -> None:
    """Of many texts each has a small share: scores of 1e-5 are right to ten digits."""
    texts = units(np.random.default_rng(5), 400, JOINT)
    knobs = {**SOFT, "a": 1.0, "p_start": 0.01, "p_end": 0.001}
    found = whole(similarity.soft_wpmi(world.top(10), world.images, texts, **knobs), texts=len(texts))
    cosine: Any = literal.cosines(world.images, texts).astype(np.longdouble)
    expected = literal.soft_wpmi(cosine, world.given, top_k=10, **knobs)
    assert np.abs(expected).max() < 1e-3
    np.testing.assert_allclose(found, expected.astype(np.float64), rtol=0, atol=1e-15)


@pytest.mark.parametrize("numbers", [1, 300, 2**20])
def test_wpmi_is_its_definition(world: World, numbers: int) -> None:
    found = whole(similarity.wpmi(world.top(28), world.images, world.texts, a=2.0, lam=0.6, numbers=numbers))
    expected = literal.wpmi(world.cosine, world.given, top_k=28, a=2.0, lam=0.6)
    np.testing.assert_allclose(found, expected, rtol=1e-10)


@pytest.mark.parametrize("name", ["cos_similarity", "cos_similarity_cubed"])
@pytest.mark.parametrize("numbers", [1, 300, 2**20])
def test_cosines_of_columns_are_their_definition(world: World, name: str, numbers: int) -> None:
    scored = getattr(similarity, name)(world.read, NEURONS, world.images, world.texts, numbers=numbers)
    expected = getattr(literal, name)(world.cosine, world.given.astype(np.float32).astype(np.float64))
    np.testing.assert_allclose(whole(scored), expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("numbers", [1, 300, 2**20])
def test_rank_reorder_is_its_definition(world: World, numbers: int) -> None:
    top = world.top(18)
    given = np.take_along_axis(world.given.T, top, axis=1)
    texts = np.concatenate([world.texts[:-1], -world.texts[-1:]])  # one is unlike all images
    scored = similarity.rank_reorder(top, given, world.images, texts, p=3.0, scale=0.5, numbers=numbers)
    cosine = literal.cosines(world.images, texts)
    expected = literal.rank_reorder(cosine, world.given, count=18, p=3.0, scale=0.5)
    assert np.isneginf(expected).any()
    np.testing.assert_allclose(whole(scored), expected, rtol=1e-9)


def test_a_text_unlike_all_images_has_no_cosine(world: World) -> None:
    texts = np.concatenate([world.texts[:3], np.zeros((1, JOINT), np.float32)])
    found = whole(similarity.cos_similarity(world.read, NEURONS, world.images, texts), texts=4)
    assert np.isneginf(found[:, 3]).all()
    assert np.isfinite(found[:, :3]).all()


def test_a_neuron_is_scored_against_its_layer(world: World) -> None:
    """Alone, a neuron is its own mean over neurons: every score is zero, and no text is the best."""
    alone = whole(similarity.soft_wpmi(world.top(20)[:1], world.images, world.texts, **SOFT), neurons=1)
    np.testing.assert_allclose(alone, 0, atol=1e-12)
    order = [4, 0, 6, 2, 1, 3, 5]
    ours = whole(similarity.soft_wpmi(world.top(20), world.images, world.texts, **SOFT))
    theirs = whole(similarity.soft_wpmi(world.top(20)[order], world.images, world.texts, **SOFT))
    np.testing.assert_allclose(theirs, ours[order], rtol=1e-12, atol=1e-13)


def test_texts_whose_scores_are_one_number_keep_their_order(world: World) -> None:
    """Three neurons with images of their own, and three texts for each that are more and more like them."""
    axes = np.eye(JOINT, dtype=np.float32)
    images = axes[[0] * 30 + [1] * 30 + [2] * 30]
    texts = np.stack([axes[axis] * np.float32(near) for near in (0.9, 0.95, 1.0) for axis in range(3)])
    top = np.arange(90).reshape(3, 30)
    (scored,) = similarity.soft_wpmi(top, images, texts, **{**SOFT, "a": 20.0})
    assert len(set(scored.scores[0, [0, 3, 6]].tolist())) == 1
    found = similarity.best(iter([scored]), 3)
    for axis in range(3):
        assert [text for text, _ in found[axis]] == [6 + axis, 3 + axis, axis]
        assert [score for _, score in found[axis]] == pytest.approx([np.log(3)] * 3)


def test_the_lead_of_a_neuron_is_its_definition(world: World) -> None:
    (scored,) = similarity.soft_wpmi(world.top(20), world.images, world.texts, **SOFT)
    cosine = literal.cosines(world.images, world.texts)
    share = np.exp(10 * cosine) / np.exp(10 * cosine).sum(axis=1, keepdims=True)
    weights = 1 - np.arange(20) / 20 * 0.028 - 0.002
    likelihood = np.zeros((NEURONS, TEXTS))
    for neuron in range(NEURONS):
        for image, weight in zip(world.top(20)[neuron], weights, strict=True):
            likelihood[neuron] += np.log(1 + weight * (share[image] - 1) + 1e-7)
    for neuron in range(NEURONS):
        others = np.exp(np.delete(likelihood, neuron, axis=0))
        expected = likelihood[neuron] - np.log(others.sum(axis=0))
        np.testing.assert_allclose(scored.order[neuron], expected, rtol=1e-9)
        assert np.argsort(scored.order[neuron]).tolist() == np.argsort(expected).tolist()


@pytest.mark.parametrize("name", ["soft_wpmi", "cos_similarity", "rank_reorder"])
def test_the_best_texts_are_those_of_a_full_sort(world: World, name: str) -> None:
    texts = np.concatenate([world.texts, world.texts[:5], -world.texts[:1]])  # ties, and one without a score
    calls: dict[str, Any] = {
        "soft_wpmi": lambda: similarity.soft_wpmi(world.top(20), world.images, texts, numbers=300, **SOFT),
        "cos_similarity": lambda: similarity.cos_similarity(
            world.read, NEURONS, world.images, texts, numbers=40
        ),
        "rank_reorder": lambda: similarity.rank_reorder(
            world.top(18),
            np.sort(world.given.T)[:, ::-1][:, :18],
            world.images,
            texts,
            p=3,
            scale=0.5,
            numbers=9,
        ),
    }
    scores = whole(calls[name](), texts=len(texts))
    for neuron, found in similarity.best(calls[name](), 7).items():
        order = np.argsort(-scores[neuron], kind="stable")[:7]
        np.testing.assert_allclose([score for _, score in found], scores[neuron, order])
        if name != "soft_wpmi":
            assert [text for text, _ in found] == order.tolist()
    judged = {neuron: int(np.isfinite(scores[neuron]).sum()) for neuron in range(NEURONS)}
    assert {neuron: len(found) for neuron, found in similarity.best(calls[name](), 99).items()} == judged


@pytest.mark.parametrize("name", ["soft_wpmi", "wpmi", "cos_similarity", "cos_similarity_cubed"])
def test_memory_does_not_grow_as_images_times_texts(name: str) -> None:
    """4,000 images × 3,000 texts are 96 MB in float64; what is there at once stays below a third of it."""
    dice = np.random.default_rng(1)
    images, texts, neurons = units(dice, 4000, 16), units(dice, 3000, 16), 60
    given = dice.normal(size=(4000, neurons)).astype(np.float32)
    top = np.argsort(-given, axis=0)[:50].T
    calls: dict[str, Any] = {
        "soft_wpmi": lambda: similarity.soft_wpmi(top, images, texts, numbers=2**19, **SOFT),
        "wpmi": lambda: similarity.wpmi(top, images, texts, a=2.0, lam=0.6, numbers=2**19),
    }
    over_all = getattr(similarity, name)
    ask = calls.get(name, lambda: over_all(lambda some: given[some], neurons, images, texts, numbers=2**19))
    tracemalloc.start()
    try:
        for scored in ask():
            assert np.isfinite(scored.scores).all()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 32e6
