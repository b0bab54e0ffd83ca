"""TextSpan from moments, against the literal Algorithm 1 and against its budget for a ViT-L.

Times are CPU seconds of the process, which other processes disturb less than the clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from belvedere.compute.heads.moments import augment, joint_maps, moments
from belvedere.compute.heads.textspan import Picks, layer_textspan, textspan
from tests.compute.literal_textspan import leading_directions, literal_textspan, project

from .row import Row

Floats = NDArray[np.floating[Any]]
Result = TypeVar("Result")


def rows() -> Iterator[Row]:
    """Compare one head with 2,000 images, then choose for every head of a ViT-L."""
    with threadpool_limits(1, "blas"):  # threads that wait for each other would count as work
        what = "literal Algorithm 1 against moments, 2,000 images, 3,500 texts, m = 60"
        yield Row(what, _against_the_literal(), 100, at_least=True)
        yield Row("all 384 heads of a ViT-L from moments, 3,500 texts, m = 20", _every_head(), 10, "CPU s")


def _against_the_literal(images: int = 2000, count: int = 3500, joint: int = 512, m: int = 60) -> float:
    """Tell how many times faster one head is, moments included; the picks must be the same, in order."""
    rng = np.random.default_rng(0)
    factor, *scalars = _factors(rng, images, 1, 64)
    joint_map, texts = _maps(rng, 1, joint, 64)[0], _pool(rng, count, joint)
    contributions = augment(factor[:, 0], *scalars)[0, :, 1:] @ joint_map.T

    def fast() -> Picks:
        return textspan(moments(factor, *scalars)[0, 0], joint_map, texts, m=m, span="svd")

    def literal(dtype: type[np.floating[Any]]) -> list[int]:
        seen, words = contributions.astype(dtype), texts.astype(dtype)
        return literal_textspan(seen, project(words, leading_directions(seen, 64)), m)[0]

    fast()
    ours, picks = min((_timed(fast) for _ in range(20)), key=lambda run: run[0])
    theirs, _ = _timed(lambda: literal(np.float32))
    if picks.text.tolist() != literal(np.float64):
        raise AssertionError("the picks are not those of Algorithm 1 in float64")
    return theirs / ours


def _every_head(layers: int = 24, heads: int = 16, count: int = 3500, joint: int = 768) -> float:
    """Give the seconds to choose 20 texts for each of 384 heads, the better of two runs."""
    rng = np.random.default_rng(1)
    seen = moments(*_factors(rng, 1024, heads, 64))[0]
    maps, texts = _maps(rng, heads, joint, 64)[..., :64], _pool(rng, count, joint)
    layer_textspan(seen, maps, texts, m=20, span="weights")

    def every() -> None:
        for _ in range(layers):
            layer_textspan(seen, maps, texts, m=20, span="weights")

    return min(_timed(every)[0] for _ in range(2))


def _timed(work: Callable[[], Result]) -> tuple[float, Result]:
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def _pool(rng: np.random.Generator, count: int, joint: int) -> Floats:
    """Draw unit-norm texts about a shared mean, as those of a CLIP are."""
    texts = rng.standard_normal((count, joint)) + rng.standard_normal(joint)
    unit: Floats = (texts / np.linalg.norm(texts, axis=1, keepdims=True)).astype(np.float32)
    return unit


def _factors(rng: np.random.Generator, images: int, heads: int, head_dim: int) -> tuple[Floats, ...]:
    """Draw factors of one layer with a decaying spectrum and a mean, and sigma, mu and norm."""
    spectrum = np.geomspace(2.0, 0.05, head_dim)
    factor = rng.standard_normal((images, 1, heads, head_dim)) * spectrum
    factor += rng.standard_normal((1, heads, head_dim))
    spread = ((1, 0.05), (0, 0.1), (10, 0.5))
    scalars = [mean + deviation * rng.standard_normal(images) for mean, deviation in spread]
    return tuple(part.astype(np.float32) for part in (factor, *scalars))


def _maps(rng: np.random.Generator, heads: int, joint: int, head_dim: int) -> Floats:
    """Draw M~ of one layer of a 24-layer model, as the published code has it."""
    normal = rng.standard_normal
    return joint_maps(
        normal((heads, joint, head_dim)) / np.sqrt(joint),
        0.1 * normal((heads, head_dim)),
        0.2 * normal(joint),
        0.1,
        gain=normal(joint),
        bias=0.1 * normal(joint),
        terms=49,
        convention="clip_prs",
    )
