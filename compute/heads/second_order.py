"""Second-order effects: what an MLP's neurons add to an image's embedding through the heads that read them.

Gandelsman, Efros and Steinhardt, "Interpreting the Second-Order Effects of Neurons in CLIP", ICLR 2025,
section 3. Neuron n of layer l gives p_i,n at token i and so adds p_i,n w_n to the stream, which head h of a
later layer l' reads through its LayerNorm and gathers by the class token's attention. With attention and
norms held at what they were,

    phi_n = sum over l', h of [sum_i alpha_i p_i,n / sigma_i] / (sigma n) · A_h W_V^h diag(g1) C w_n

so that all that follows from an image is one number per later head and neuron, the *factor*; the rest is the
model's. Numpy only: reading needs no model.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..towers.trace import Array

Doubles = npt.NDArray[np.float64]

NEURONS = 64
"""Neurons that are multiplied at once: their maps into the joint space are in memory meanwhile."""
EMPTY = 1e-12
"""A share of an effect's square below which its variation is round-off."""
LEAST = 1e-9
"""What a text has to fit of the rest, and to have of its own beside those that are picked."""
ALIKE = 1e-12
"""Texts fit alike where what they fit differs by no more than this share of it."""


def joint_maps(head_map: Array, value_map: Array) -> Array:
    """Give what each later head makes of each neuron in the joint space, "neuron head joint".

    `head_map` is "later head joint head_dim", `value_map` "later head neuron head_dim"; later layers and
    their heads become one axis, as they lie.
    """
    found = np.matmul(value_map, head_map.swapaxes(-1, -2))  # later head neuron joint
    later, heads, neurons, joint = found.shape
    maps: Array = found.reshape(later * heads, neurons, joint).transpose(1, 0, 2)
    return maps


def scaled(factor: Array, scale: Array) -> Array:
    """Scale factors "image later head neuron" by 1/(sigma n), "image"; the answer is "neuron image head"."""
    images, later, heads, neurons = factor.shape
    flat = factor.reshape(images, later * heads, neurons) * scale[:, None, None]
    return flat.transpose(2, 0, 1)


def effects(factor: Array, scale: Array, head_map: Array, value_map: Array) -> Array:
    """Multiply factors out: what each neuron adds through all later heads, float32 "image neuron joint"."""
    images, neurons, joint = len(factor), factor.shape[-1], head_map.shape[2]
    found = np.empty((images, neurons, joint), np.float32)
    for some in blocks(neurons):
        maps = joint_maps(head_map, value_map[:, :, some])
        found[:, some] = np.matmul(scaled(factor[..., some], scale), maps).transpose(1, 0, 2)
    return found


def norms(factor: Array, scale: Array, head_map: Array, value_map: Array) -> Doubles:
    """Give the length of each neuron's effect on each image, float64 "image neuron"."""
    found = np.empty((len(factor), factor.shape[-1]))
    for some in blocks(factor.shape[-1]):
        maps = joint_maps(head_map, value_map[:, :, some]).astype(np.float64)
        parts = scaled(factor[..., some], scale).astype(np.float64)
        squares = np.einsum("nih,nhg,nig->in", parts, maps @ maps.swapaxes(-1, -2), parts, optimize=True)
        found[:, some] = np.sqrt(np.maximum(squares, 0))
    return found


def blocks(neurons: int) -> Iterator[slice]:
    """Cut neurons into blocks that are multiplied at once."""
    return (slice(start, min(start + NEURONS, neurons)) for start in range(0, neurons, NEURONS))


def principal(effect: Doubles) -> tuple[Doubles, Doubles, Doubles]:
    """Give the direction along which effects "neuron image joint" vary most, its share, and their mean.

    The first principal component around the mean, "neuron joint" at unit norm, NaN where they do not vary;
    its sign is that of the majority of the effects along it, and where that is a tie, of its largest entry.
    The share is that of the variance, "neuron".
    """
    mean = effect.mean(axis=1)
    deviation = effect - mean[:, None]
    gram = deviation @ deviation.swapaxes(-1, -2)
    weights, vectors = np.linalg.eigh(gram)  # of image × image: a neuron's images are fewer than dimensions
    total = np.trace(gram, axis1=1, axis2=2)
    varies = total > EMPTY * np.square(effect).sum(axis=(1, 2))
    along = np.einsum("nid,ni->nd", deviation, vectors[:, :, -1])
    with np.errstate(invalid="ignore", divide="ignore"):
        direction = along / np.linalg.norm(along, axis=1, keepdims=True)
        share = weights[:, -1] / total
    direction[~varies], share[~varies] = np.nan, np.nan
    votes = np.sign(np.einsum("nid,nd->ni", effect, direction)).sum(axis=1)
    largest = np.take_along_axis(direction, np.abs(np.nan_to_num(direction)).argmax(axis=1)[:, None], axis=1)
    sign = np.where(votes == 0, np.sign(largest[:, 0]), np.sign(votes))
    return direction * sign[:, None], share, mean


@dataclass(frozen=True, slots=True, eq=False)
class Code:
    """One direction as a sparse sum of texts."""

    texts: list[int]
    """The texts, in the order in which they were picked."""
    coefficients: Doubles
    """How much of each, "text"."""
    share: float
    """The share of the direction's square that they make up together."""


def sparse_codes(directions: Doubles, texts: Doubles, m: int) -> Iterator[Code]:
    """Write each direction as a sum of at most m texts by orthogonal matching pursuit (Pati et al. 1993).

    `directions` is "neuron joint", `texts` "text joint" at unit norm. A step picks the text that fits the
    rest best, and fits all picked texts anew. Pursuit ends where the texts that are left cannot make the rest
    smaller. Of texts that fit alike the first is taken. Beside the texts no more is in memory than how
    well each fits some neurons.
    """
    for some in blocks(len(directions)):
        yield from _pursued(directions[some], texts, m)


def _pursued(directions: Doubles, texts: Doubles, m: int) -> list[Code]:
    """Pursue some directions together: one product with all texts a step."""
    picked: list[list[int]] = [[] for _ in directions]
    solved: list[Doubles] = [np.empty(0) for _ in directions]
    rest, going = directions.copy(), list(range(len(directions)))
    for _ in range(min(m, len(texts))):
        fits = np.abs(rest[going] @ texts.T)
        still = []
        for neuron, fit in zip(going, fits, strict=True):
            fit[picked[neuron]] = 0
            best = int((fit >= fit.max() * (1 - ALIKE)).argmax())
            chosen = texts[[*picked[neuron], best]]
            among, beside = chosen @ chosen.T, chosen[:-1] @ chosen[-1]
            own = among[-1, -1] - beside @ np.linalg.solve(among[:-1, :-1], beside)
            if fit[best] < LEAST or own < LEAST:  # nothing is left, or nothing that this text could add
                continue
            picked[neuron].append(best)
            solved[neuron] = np.linalg.solve(among, chosen @ directions[neuron])
            rest[neuron] = directions[neuron] - solved[neuron] @ chosen
            still.append(neuron)
        going = still
        if not going:
            break
    share = 1 - np.square(rest).sum(axis=1) / np.square(directions).sum(axis=1)
    return [Code(*each) for each in zip(picked, solved, share.tolist(), strict=True)]
