"""How much of a zero-shot classifier is left when heads are put down to their first m texts.

Gandelsman, Efros and Steinhardt, "Interpreting CLIP's Image Representation via Text-Based Decomposition"
(ICLR 2024, section 4.2) ask whether the texts that TextSpan chooses say all about a head: the contribution
of each head of the last layers is replaced by its mean and its projection on the span of its first m texts,
every head before those by its mean, and the zero-shot accuracy is taken of what is left. All other terms
stay. With c a contribution, c- its mean over the images, u_1, u_2, ... the directions of the texts after
Gram-Schmidt and w a class,

    <e_m, w> = <e - sum c + sum c-, w> + sum_late sum_{j <= m} <c - c-, u_j> <u_j, w>,

so that one pass over the factors gives every m: the j-th text of each head adds a number for each image and
class. With c = M~ s~ (`compute/heads/moments.py`), <c - c-, u> = (M~^T u) . (s~ - s~-): no contribution is
made.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .moments import Doubles, statistics
from .textspan import Span, axes

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Told:
    """What the texts of the heads of one layer tell of classes."""

    weights: Doubles
    """M~^T u of each text's direction, "head coordinate rank"; zeros past the last text of a head."""
    offset: Doubles
    """What is taken off each projection, so that its mean is zero: "head rank"."""
    classes: Doubles
    """<u, w> of each direction and class, "rank head class"."""

    def along(self, written: Doubles) -> Doubles:
        """Project heads on their texts: s~ "head image coordinate" to "rank image head"."""
        found: Doubles = (written @ self.weights - self.offset[:, None]).transpose(2, 1, 0)
        return found


def told(
    layer_moments: Doubles,
    joint_maps: Floats,
    texts: Sequence[Floats],
    classes: Doubles,
    *,
    ranks: int,
    span: Span,
) -> Told:
    """Take the directions of each head's texts, "rank joint" a head, of which the first `ranks` count.

    `layer_moments` are "head factor factor", `joint_maps` "head joint coordinate" their M~, and
    `classes` is "class joint".
    """
    heads, _, coordinates = joint_maps.shape
    weights = np.zeros((heads, coordinates, ranks))
    offset, along = np.zeros((heads, ranks)), np.zeros((ranks, heads, len(classes)))
    for head, mine in enumerate(texts):
        if len(mine):
            directions = axes(layer_moments[head], joint_maps[head], mine[:ranks], span=span)
            count = len(directions)
            weights[head, :, :count] = joint_maps[head].T @ directions.T
            mean = statistics(layer_moments[head], coordinates).mean
            offset[head, :count] = mean @ weights[head, :, :count]
            along[:count, head] = directions @ classes.T
    return Told(weights, offset, along)


def logits(base: Doubles, projected: Doubles, classes: Doubles) -> Iterator[Doubles]:
    """Give the similarities "image class" with no text of each head, with one, with two, and so on.

    `base` is "image class", `projected` "rank image head", `classes` "rank head class"; each array that is
    given is good until the next.
    """
    found = base.copy()
    yield found
    for along, weights in zip(projected, classes, strict=True):
        found += along @ weights
        yield found


def correct(similarities: Doubles, truth: NDArray[np.int64]) -> int:
    """Count the images whose most similar class, of equal ones the first, is the true one."""
    return int((similarities.argmax(axis=1) == truth).sum())


def random_vectors(count: int, joint: int, seed: int) -> Doubles:
    """Draw unit vectors "vector joint" with no preferred direction, the same ones for the same seed."""
    drawn = np.random.Generator(np.random.PCG64(seed)).standard_normal((count, joint))
    unit: Doubles = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    return unit
