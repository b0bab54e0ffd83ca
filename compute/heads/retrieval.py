"""Images nearest to a query by what chosen heads write for them: exact, one block of images after another.

Gandelsman, Efros and Steinhardt, "Interpreting CLIP's Image Representation via Text-Based Decomposition"
(ICLR 2024, section 4) retrieve images by property: with c the contribution of one head, or the sum of
several, images are ranked by the cosine of their c with that of a query image; the published notebook takes
the inner product. A text is a query as well, by its embedding (RepDecompose, Balasubramanian et al. 2024;
CLIP-InterpreT, Madasu et al. 2024). No index: every image is scored, in float64.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..topk import TopK

if TYPE_CHECKING:
    from ...store.views import Parts, Unit
    from ..views.chosen_contributions import ChosenContributions

Floats = NDArray[np.floating[Any]]
Doubles = NDArray[np.float64]
Measure = Literal["cosine", "dot"]
"""The cosine of what the heads write with the query, or their inner product."""

AT_ONCE = 512
"""Images that are scored at a time: their vectors in float64 stay near the processor."""


def scores(vectors: Floats, lengths: Floats, queries: Doubles, measure: Measure) -> Floats:
    """Score images against queries: "image joint", their lengths and "query joint" to "image query".

    In float64, then rounded to float32, so that images of the same numbers tie wherever they stand. NaN for
    an image that could not be read and, as a cosine, for one for which the heads write nothing.
    """
    found = np.empty((len(vectors), len(queries)), np.float32)
    turned = (unit(queries) if measure == "cosine" else queries).T
    for start in range(0, len(vectors), AT_ONCE):
        some = slice(start, start + AT_ONCE)
        product = vectors[some].astype(np.float64) @ turned
        if measure == "cosine":
            there = np.where(lengths[some] > 0, lengths[some].astype(np.float64), np.nan)
            product /= there[:, None]
        found[some] = product
    return found


def unit(vectors: Doubles) -> Doubles:
    """Bring vectors to length 1; NaN for one of length 0."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, np.nan)


def nearest(
    view: ChosenContributions,
    parts: Parts,
    queries: Doubles,
    *,
    measure: Measure,
    k: int,
    besides: NDArray[np.int64] | None = None,
) -> TopK:
    """Find the k images nearest to each query, "query joint"; of equal ones the first.

    Units are read and scored two or more at a time, by as many threads as there are processors.
    `besides` "query" has for each query the image that is none of its own answers.
    """
    best = TopK(len(queries), k)

    def scored(each: Unit) -> Floats:
        vectors, lengths = (parts.whole(each, name) for name in ("vector", "norm"))
        found = scores(vectors, lengths, queries, measure)
        if besides is not None:
            here = np.flatnonzero((besides >= each.start) & (besides < each.stop))
            found[besides[here] - each.start, here] = np.nan
        return found

    workers = min(os.cpu_count() or 1, len(view.units))
    with ThreadPoolExecutor(workers) as pool:  # reading and numpy let go of the interpreter
        for some in batched(view.units, workers):
            for each, found in zip(some, pool.map(scored, some), strict=True):
                best.add(found, np.arange(each.start, each.stop))
    return best


def batched(units: Sequence[Unit], count: int) -> Iterator[Sequence[Unit]]:
    """Give so many units at a time, in order."""
    return (units[start : start + count] for start in range(0, len(units), count))
