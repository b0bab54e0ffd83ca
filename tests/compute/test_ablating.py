"""What the fast ablation gives is what the literal one gives, image by image in float64."""

from __future__ import annotations

import numpy as np
import pytest

from belvedere.compute.heads.ablating import Block, Components, Mode, _means, logits, predictions, random_sets

IMAGES, CLASSES, JOINT = 300, 5, 7
WIDTHS = (3, 4, 7)


def world(seed: int = 0) -> tuple[Block, Components, np.ndarray, list[np.ndarray]]:
    """Draw embeddings, three components with means other than zero, and the classes of images."""
    rng = np.random.default_rng(seed)
    classes = rng.normal(0.3, 1, (CLASSES, JOINT))
    coordinates = [rng.normal(0.5, 1, (IMAGES, width)) for width in WIDTHS]
    maps = [rng.normal(-0.2, 1, (width, JOINT)) for width in WIDTHS]
    embeddings = sum(x @ m for x, m in zip(coordinates, maps, strict=True)) + rng.normal(
        0.1, 1, (IMAGES, JOINT)
    )
    embeddings[[4, 290]] = np.nan
    whole = Block(embeddings, coordinates)
    narrow = [each.astype(np.float32) for each in (embeddings, classes)]

    def read(images: slice) -> Block:
        return Block(narrow[0][images], [each[images].astype(np.float32) for each in coordinates])

    to_logits = [(m @ classes.T).astype(np.float32) for m in maps]
    components = Components(IMAGES, read, to_logits, narrow[1])
    return whole, components, classes, maps


def literal(
    whole: Block,
    classes: np.ndarray,
    maps: list[np.ndarray],
    chosen: list[int],
    truth: np.ndarray,
    mode: Mode,
) -> np.ndarray:
    """Put the mean of each chosen component in its place, image by image, in the joint space."""
    there = [image for image in range(IMAGES) if not np.isnan(whole.embeddings[image]).any()]
    found = np.full((IMAGES, CLASSES), np.nan)
    for image in there:
        embedding = whole.embeddings[image].copy()
        for number in chosen:
            peers = [k for k in there if mode != "class_mean" or truth[k] == truth[image]]
            every = [whole.coordinates[number][k] @ maps[number] for k in peers]
            embedding -= whole.coordinates[number][image] @ maps[number]
            if mode != "zero":
                embedding += np.mean(every, axis=0)
        found[image] = [embedding @ name for name in classes]
    return found


@pytest.mark.parametrize("mode", ["mean", "zero", "class_mean"])
def test_logits_are_those_of_the_literal_ablation(mode: Mode) -> None:
    whole, components, classes, maps = world()
    truth = np.arange(IMAGES) % CLASSES
    sets = np.array([[False] * 3, [True, False, True], [True] * 3])
    groups = truth if mode == "class_mean" else np.zeros_like(truth)
    means = None if mode == "zero" else _means(components, groups)
    block = components.read(slice(0, IMAGES))
    found = logits(block, components, sets, means, groups, slice(0, IMAGES))
    named, there = predictions(components, sets, truth, mode)
    for number, chosen in enumerate(([], [0, 2], [0, 1, 2])):
        expected = literal(whole, classes, maps, chosen, truth, mode)
        scale = np.nanmax(np.abs(expected))
        assert np.nanmax(np.abs(found[number] - expected)) <= 1e-6 * scale
        assert np.isnan(found[number]).any(axis=1).tolist() == np.isnan(expected).any(axis=1).tolist()
        assert named[number][there].tolist() == expected[there].argmax(axis=1).tolist()
    assert np.flatnonzero(~there).tolist() == [4, 290]
    assert (named[:, ~there] == -1).all()


def test_of_equal_logits_the_first_class_is_named() -> None:
    embeddings = np.zeros((3, 2), np.float32)
    components = Components(3, lambda images: Block(embeddings[images], []), [], np.eye(2, dtype=np.float32))
    named, there = predictions(components, np.zeros((1, 0), bool), np.zeros(3, np.intp), "mean")
    assert named.tolist() == [[0, 0, 0]]
    assert there.all()


def test_random_sets_have_as_many_heads_each_and_are_the_same_again() -> None:
    sets = random_sets(16, 5, 20, seed=3)
    assert sets.sum(axis=1).tolist() == [5] * 20
    assert np.array_equal(random_sets(16, 5, 7, seed=3), sets[:7])
    assert len({each.tobytes() for each in sets}) > 15
    assert not np.array_equal(random_sets(16, 5, 20, seed=4), sets)
