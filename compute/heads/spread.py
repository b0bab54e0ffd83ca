"""How far the images spread a head's contributions along given directions, from the head's moments alone.

A head that is about stripes writes differently for images with stripes than for others, and it does so along
the embedding of "stripes": Gandelsman, Efros and Steinhardt, "Interpreting CLIP's Image Representation via
Text-Based Decomposition" (ICLR 2024, section 4) find heads of such roles in lists of texts. For one text no
list is needed. With c = M~ s~ (`compute/heads/moments.py`) and a unit vector u,

    Var_i <u, c_i> = u^T M~ Cov(s~) M~^T u,     mean_i <u, c_i> = u^T M~ mean(s~),

and the share of the head's variance that lies along u is the first over tr(M~ Cov(s~) M~^T).

A property, such as what the background is, has many texts, of its values in several wordings. What tells them
apart is their deviations d from their mean, and S = sum_j d_j d_j^T says in which directions they differ, and
how much. The share of a head's variance along the property weighs each direction by that, the widest fully:

    tr(S M~ Cov(s~) M~^T) / (lambda_max(S) tr(M~ Cov(s~) M~^T))

So heads are scored by properties on a scale, in place of lists made by hand, as Balasubramanian, Basu and
Feizi do ("Decomposing and Interpreting Image Representations via Text in ViTs Beyond CLIP", NeurIPS 2024).
Theirs is another score, over all images; this one asks moments alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .moments import Doubles, statistics

Floats = NDArray[np.floating[Any]]

NOISE = 1e-13
"""Share of a head's mean square below which its variance is taken for round-off."""

SAME = 1e-6
"""A text nearer to the mean of a pool than that is told apart from it by rounding alone."""


@dataclass(frozen=True, slots=True)
class Spread:
    """What the heads of one layer write along directions; all of it is "direction head"."""

    variance: Doubles
    """Unbiased variance over the images of the projection on the direction."""
    share: Doubles
    """That over the head's total variance, in [0, 1]; NaN where the head writes the same for all images."""
    mean: Doubles
    """Mean of the projection."""


def spread(layer_moments: Doubles, joint_maps: Floats, directions: Floats) -> Spread:
    """Measure each head of a layer along each direction, in float64.

    `layer_moments` "head factor factor" are the heads' moments, `joint_maps` "head joint coordinate" their
    M~ (of as many leading coordinates of s~ as the convention uses), `directions` "direction joint" unit
    vectors. Fewer than two images leave every share NaN.
    """
    heads = [
        _of_head(moments_lh, joint_map.astype(np.float64), directions.astype(np.float64))
        for moments_lh, joint_map in zip(layer_moments, joint_maps, strict=True)
    ]
    variance, share, mean = np.stack(heads, axis=-1)
    return Spread(variance, share, mean)


def _of_head(moments_lh: Doubles, joint_map: Doubles, directions: Doubles) -> Doubles:
    """Variance, share and mean of one head: "measure direction"."""
    seen = statistics(moments_lh, joint_map.shape[1])
    along = directions @ joint_map
    variance = np.maximum(np.einsum("dc,dc->d", along @ seen.covariance, along), 0.0)
    total = float(np.vdot(joint_map.T @ joint_map, seen.covariance))
    noise = NOISE * float(np.vdot(joint_map.T @ joint_map, seen.second))
    share = variance / total if total > noise else np.full_like(variance, np.nan)
    return np.stack([variance, share, along @ seen.mean])


def along_property(layer_moments: Doubles, joint_maps: Floats, texts: Floats) -> tuple[Doubles, Doubles]:
    """Measure each head of a layer along what tells a property's texts apart: shares and variances, "head".

    `texts` "text joint" are unit-norm embeddings of at least two texts that differ; the rest is as in
    `spread`. The share is NaN where the head writes the same for all images.
    """
    deviations = texts - texts.mean(axis=0, dtype=np.float64)
    _, widths, directions = np.linalg.svd(deviations, full_matrices=False)
    found = spread(layer_moments, joint_maps, directions)
    weights = np.square(widths / widths[0])
    return weights @ found.share, weights @ found.variance


def apart(texts: Floats, pool: Floats | None = None) -> Doubles:
    """The unit directions that tell texts apart from a pool: each embedding less the pool's mean.

    Embeddings of texts lie in a narrow cone: what all of them share is most of each, and where a head varies
    along that, every text finds the same head. `texts` "text joint" are unit-norm embeddings, as are those of
    `pool`; without a pool the texts stay as they are. A text that equals the mean is NaN.
    """
    directions = texts.astype(np.float64)
    if pool is not None:
        directions -= pool.mean(axis=0, dtype=np.float64)
    lengths = np.linalg.norm(directions, axis=1, keepdims=True)
    return directions / np.where(lengths > SAME, lengths, np.nan)
