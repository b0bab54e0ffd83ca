"""TextSpan against its budgets: the literal Algorithm 1 at 2,000 images, and every head of a ViT-L.

    python -m benchmarks.textspan

The literal Algorithm 1 (`tests/compute/literal_textspan.py`) runs in float32, as the published code does,
and again in float64 to see that the picks are the same. Asserts that TextSpan from moments is at least a
hundred times as fast, and that all 384 heads take at most ten seconds.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from belvedere.compute.moments import augment, joint_maps, moments
from belvedere.compute.textspan import Picks, layer_textspan, textspan

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "compute"))
from literal_textspan import leading_directions, literal_textspan, project

Floats = NDArray[np.floating[Any]]
Result = TypeVar("Result")

FASTER = 100
"""How many times faster than Algorithm 1 on all images, at least."""

SECONDS = 10.0
"""For all 384 heads of a ViT-L, from moments, at most."""


def timed(work: Callable[[], Result]) -> tuple[float, Result]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def pool(rng: np.random.Generator, count: int, joint: int) -> Floats:
    """Unit-norm texts about a shared mean, as those of a CLIP are."""
    texts = rng.standard_normal((count, joint)) + rng.standard_normal(joint)
    unit: Floats = (texts / np.linalg.norm(texts, axis=1, keepdims=True)).astype(np.float32)
    return unit


def factors(rng: np.random.Generator, images: int, heads: int, head_dim: int) -> tuple[Floats, ...]:
    """Factors of one layer with a decaying spectrum and a mean, and sigma, mu and norm."""
    spectrum = np.geomspace(2.0, 0.05, head_dim)
    factor = rng.standard_normal((images, 1, heads, head_dim)) * spectrum
    factor += rng.standard_normal((1, heads, head_dim))
    scalars = [
        mean + spread * rng.standard_normal(images) for mean, spread in ((1, 0.05), (0, 0.1), (10, 0.5))
    ]
    return tuple(part.astype(np.float32) for part in (factor, *scalars))


def maps(rng: np.random.Generator, heads: int, joint: int, head_dim: int) -> Floats:
    """M~ of one layer of a 24-layer model with random constants, as the published code has it."""
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


def against_the_literal(images: int = 2000, count: int = 3500, joint: int = 512, m: int = 60) -> float:
    """How many times faster one head is, moments included, while the picks are the same in the same order."""
    rng = np.random.default_rng(0)
    factor, *scalars = factors(rng, images, 1, 64)
    joint_map, texts = maps(rng, 1, joint, 64)[0], pool(rng, count, joint)
    contributions = augment(factor[:, 0], *scalars)[0, :, 1:] @ joint_map.T

    def fast() -> Picks:
        head = moments(factor, *scalars)[0, 0]
        return textspan(head, joint_map, texts, m=m, span="svd")

    def literal(dtype: type[np.floating[Any]]) -> list[int]:
        rows, words = contributions.astype(dtype), texts.astype(dtype)
        return literal_textspan(rows, project(words, leading_directions(rows, 64)), m)[0]

    fast()
    ours, picks = min((timed(fast) for _ in range(20)), key=lambda run: run[0])
    theirs, _ = timed(lambda: literal(np.float32))
    assert picks.text.tolist() == literal(np.float64), "the picks are not those of Algorithm 1"
    print(f"{'one head, Algorithm 1 in float32':<44} {theirs:9.3f} s")
    print(f"{'one head, from its moments (with them)':<44} {ours:9.3f} s {theirs / ours:8.0f} x")
    return theirs / ours


def every_head_of_a_vit_l(layers: int = 24, heads: int = 16, count: int = 3500, joint: int = 768) -> float:
    """Seconds to choose 20 texts for each of 384 heads, the better of two runs."""
    rng = np.random.default_rng(1)
    seen = moments(*factors(rng, 1024, heads, 64))[0]
    head_maps, texts = maps(rng, heads, joint, 64)[..., :64], pool(rng, count, joint)
    layer_textspan(seen, head_maps, texts, m=20)
    runs = [
        timed(lambda: [layer_textspan(seen, head_maps, texts, m=20) for _ in range(layers)]) for _ in range(2)
    ]
    seconds = min(run[0] for run in runs)
    print(f"{f'ViT-L, {layers * heads} heads, {count} texts, m = 20':<44} {seconds:9.3f} s")
    return seconds


def main() -> None:
    ratio = against_the_literal()
    seconds = every_head_of_a_vit_l()
    assert ratio >= FASTER, f"{ratio:.0f} x, less than {FASTER} x"
    assert seconds <= SECONDS, f"{seconds:.1f} s, more than {SECONDS} s"


if __name__ == "__main__":
    main()
