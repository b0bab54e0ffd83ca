"""The examination: AUROC as pairs are counted, and which value explains a neuron."""

import itertools

import numpy as np
import pytest

from belvedere.demo.examine import auroc, explained
from belvedere.demo.scenes import scene
from belvedere.demo.zeroshot import truth


@pytest.mark.parametrize("seed", range(5))
def test_auroc_is_the_share_of_pairs_in_order(seed: int) -> None:
    random = np.random.default_rng(seed)
    values, marks = random.integers(-2, 3, 30).astype(np.float64), random.random(30) < 0.3
    marks[:2] = True, False
    pairs = itertools.product(values[marks], values[~marks])
    wanted = np.mean([1.0 if one > other else 0.5 * (one == other) for one, other in pairs])
    np.testing.assert_allclose(auroc(values, marks), wanted)


def test_a_neuron_is_explained_by_the_value_that_it_fires_for() -> None:
    scenes = [scene(index) for index in range(80)]
    night = np.asarray([float(each.background == "night") for each in scenes])
    stripes = np.asarray([float(each.texture == "striped") for each in scenes])
    noise = np.random.default_rng(0).random(80)
    activations = np.stack([night, 3 * stripes + noise, -night, noise], axis=1)
    (first, second, third, fourth) = explained(activations, truth(scenes))
    assert (first, second) == (("night", 1.0), ("striped", 1.0))
    assert third[0] != "night"
    assert fourth[1] < 0.95
