"""The three numbers per image, or per text, by which every contribution is scaled."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ...store.views import Array, ArrayView, Axis, Member, Parts

if TYPE_CHECKING:
    from ..towers.trace import Trace


class Scalars(NamedTuple):
    """What an image's, or a text's, last LayerNorm and its embedding's length were, each "image"."""

    sigma: Array
    """The deviation that ln_post divides by."""
    mu: Array
    """The mean that ln_post takes away."""
    norm: Array
    """The length of the embedding before it is brought to unit norm."""


def member(images: int, block: int, axis: str = "image") -> Member:
    """Declare the array in which they are kept, "image scalar" (or "text scalar") with sigma, mu, norm."""
    return Member("scalars", (axis, "scalar"), (images, 3), "float32", (min(64, block), 3))


def collect(trace: Trace) -> Array:
    """Take them from a trace."""
    return np.stack([trace.sigma, trace.mu, trace.norm], axis=1)


def read(view: ArrayView, parts: Parts, images: Axis) -> Scalars:
    """Read them for some images."""
    kept = parts.array(view, "scalars", (images,))
    return Scalars(kept[:, 0], kept[:, 1], kept[:, 2])
