"""Algorithm 1 of Gandelsman et al. (ICLR 2024) as it is written, over every image."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]


def leading_directions(rows: Floats, rank: int | None = None) -> Floats:
    """Right singular vectors of `rows` (of non-zero singular value; at most `rank`): "direction joint"."""
    _, values, directions = np.linalg.svd(rows, full_matrices=False)
    nonzero = int(np.count_nonzero(values > 1e-6 * values[0]))
    return directions[: nonzero if rank is None else min(nonzero, rank)]


def project(texts: Floats, directions: Floats) -> Floats:
    """The texts within the span of orthonormal directions: "text joint"."""
    return texts @ directions.T @ directions


def literal_textspan(contributions: Floats, texts: Floats, m: int) -> tuple[list[int], list[float]]:
    """Rows of the projected `texts` "text joint" in order of choice, and each one's share of the variance."""
    C = contributions - contributions.mean(axis=0)
    R = texts.copy()
    total = C.var(axis=0, ddof=1).sum()
    chosen: list[int] = []
    shares: list[float] = []
    for _ in range(m):
        spread = (C @ R.T).std(axis=0, ddof=1)
        best = int(np.argmax(spread))
        direction = R[best] / np.linalg.norm(R[best])
        along = C @ direction
        chosen.append(best)
        shares.append(float(along.var(ddof=1) / total))
        C = C - np.outer(along, direction)
        R = R - np.outer(R @ direction, direction)
    return chosen, shares
