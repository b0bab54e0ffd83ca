"""How well texts say what excites neurons: the similarity functions of CLIP-Dissect.

Oikarinen and Weng, "CLIP-Dissect: Automatic Description of Neuron Representations in Deep Vision Networks"
(ICLR 2023). With P the cosine of each image and text in a CLIP's space, and q what each neuron gives for each
image, a neuron n is described by the text c with the highest score:

    soft_wpmi   S = softmax over texts of a P;   x_0 … x_(k-1) the images that excite n most;
                p_i falls evenly from p_start towards p_end;
                L[n,c] = sum_i log(1 + p_i (S[x_i,c] - 1) + e)
                score  = L[n,c] - lam (log sum_m exp L[m,c] - log neurons)
    wpmi        the same with L[n,c] = sum_i log(S[x_i,c] + e)
    rank_reorder   how well the order of c's cosines puts n's activations back in order, on its top images
    cos_similarity, cos_similarity_cubed   of the columns of q and P, the second centred and cubed

The published soft_wpmi takes a logarithm of 1 - p_i + p_i S + e, in which S is some 1e-5 of the sum: in
float32 its scores come in steps. Taken out here is what no text changes, sum_i log(1 - p_i + e), which
leaves L' = sum_i log1p(w_i S), w_i = p_i / (1 - p_i + e), exact for the smallest S.

P, and S of all images, are never there at once: a score needs the rows of the images at some neuron's top
alone, their softmax one number a row, and all else is done for some texts after others. The sum over neurons
is why the scores of a neuron follow from all of its layer's: a layer is scored as a whole.

With lam = 1 a score cannot exceed log neurons, and comes so near for every text that speaks of one neuron
alone that float64 has one number for them all. What orders texts then is the lead of L[n,c] on all others',

    L[n,c] - log sum_(m not n) exp L[m,c],      score = log neurons - log(1 + exp(-lead)),

which orders them as exact arithmetic would order the scores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Doubles = NDArray[np.float64]
Places = NDArray[np.int64]

FLOOR = 1e-7
"""The e of soft_wpmi and wpmi, which keeps the logarithm of nothing finite."""
NUMBERS = 2**24
"""Numbers of the largest block that is there at once; 128 MB in float64."""
PRODUCT = 16
"""Factors 1 + w S that are multiplied before a logarithm is taken; w is below 1e7."""
LEAST_NORM = 1e-3
"""Norm below which a cubed column is not brought to length one."""
SHUFFLES = 5
"""Random orders to which rank_reorder compares the order that a text gives."""

Activations = Callable[[slice], Floats]
"""Reads what the neurons that are scored give for some images: "image neuron"."""


class Scored(NamedTuple):
    """Scores of some neurons for some texts."""

    neurons: slice
    """Which neurons."""
    texts: slice
    """Which texts."""
    scores: Doubles
    """Their scores, "neuron text"; -inf for a text that a function cannot judge."""
    order: Doubles
    """The same order of texts, also where their scores are one number: "neuron text"."""


def soft_wpmi(
    top: Places,
    images: Floats,
    texts: Floats,
    *,
    a: float,
    lam: float,
    p_start: float,
    p_end: float,
    numbers: int = NUMBERS,
) -> Iterator[Scored]:
    """Score all texts for all neurons of a layer, some texts after others.

    Args:
        top: The images that excite each neuron most, from the most down: "neuron rank".
        images: Unit embeddings of all images, "image joint".
        texts: Unit embeddings of all texts, "text joint".
        a: Sharpness of the softmax.
        lam: Weight of what a text has in common for all neurons.
        p_start: How surely the first image counts, above 0 and at most 1.
        p_end: The value towards which that falls, likewise.
        numbers: Numbers of the largest block that is there at once.
    """
    k = top.shape[1]
    p = p_start - np.arange(k) / k * (p_start - p_end)
    rest = 1 - p + FLOOR
    weights = p / rest
    constant = float(np.log(rest).sum())
    for block, share, at in _shares(top, images, texts, a, numbers):
        found = _sum_of_logs(share, at, weights)
        yield _compared(block, found, lam, constant)


def wpmi(
    top: Places, images: Floats, texts: Floats, *, a: float, lam: float, numbers: int = NUMBERS
) -> Iterator[Scored]:
    """Score all texts for all neurons of a layer; the arguments are those of `soft_wpmi`."""
    for block, share, at in _shares(top, images, texts, a, numbers):
        np.log(np.add(share, FLOOR, out=share), out=share)
        found = np.zeros((len(top), share.shape[1]))
        for rank in range(top.shape[1]):
            found += share[at[:, rank]]
        yield _compared(block, found, lam, 0.0)


def _sum_of_logs(share: Doubles, at: Places, weights: Doubles) -> Doubles:
    """Give sum_i log1p(w_i S[x_i]) of each neuron: "neuron text".

    Products are kept as what they exceed 1 by, so that nothing of the smallest S is lost.
    """
    total = np.zeros((len(at), share.shape[1]))
    excess = np.zeros_like(total)
    for rank, weight in enumerate(weights):
        factor = share[at[:, rank]]
        factor *= weight
        factor *= excess + 1  # (1 + e)(1 + x) - 1 = e + x (1 + e)
        excess += factor
        if (rank + 1) % PRODUCT == 0 or rank + 1 == len(weights):
            total += np.log1p(excess)
            excess[:] = 0
    return total


def _compared(block: slice, found: Doubles, lam: float, constant: float) -> Scored:
    """Take off what a text has in common for all neurons; `constant` is what L has beside `found`."""
    neurons = slice(0, len(found))
    if lam == 1 and len(found) > 1:
        lead = _lead(found)
        return Scored(neurons, block, np.log(len(found)) - np.logaddexp(0, -lead), lead)
    most = found.max(axis=0)
    common = most + np.log(np.exp(found - most).mean(axis=0))
    scores = found - lam * common + (1 - lam) * constant
    return Scored(neurons, block, scores, found if len(found) == 1 else scores)


def _lead(found: Doubles) -> Doubles:
    """Give L[n] - log sum_(m not n) exp L[m], for two neurons or more: "neuron text"."""
    texts = np.arange(found.shape[1])
    first = found.argmax(axis=0)
    most = found[first, texts]
    others = found.copy()
    others[first, texts] = -np.inf
    second = others.max(axis=0)
    theirs = second + np.log(np.exp(others - second).sum(axis=0))
    raised = np.exp(found - most)
    total = raised.sum(axis=0) - raised  # of neurons that are not first: the first is among the others
    np.log(total, out=total, where=total > 0)
    total += most
    total[first, texts] = theirs
    lead: Doubles = found - total
    return lead


def _shares(
    top: Places, images: Floats, texts: Floats, a: float, numbers: int
) -> Iterator[tuple[slice, Doubles, Places]]:
    """Give for some texts after others their softmax at all top images, and where each neuron's rows are."""
    rows, at = np.unique(top, return_inverse=True)
    at = at.reshape(top.shape)
    logs = _log_totals(rows, images, texts, a, numbers)
    for block in _blocks(len(texts), max(1, numbers // max(len(rows), len(top)))):
        share = np.empty((len(rows), block.stop - block.start))
        vectors = texts[block].T.astype(np.float64)
        for some in _blocks(len(rows), max(1, numbers // (4 * images.shape[1]))):
            np.matmul(images[rows[some]].astype(np.float64), vectors, out=share[some])
        share *= a
        share -= logs[:, None]
        yield block, np.exp(share, out=share), at


def _log_totals(rows: Places, images: Floats, texts: Floats, a: float, numbers: int) -> Doubles:
    """Give log sum_c exp(a P[x,c]) of each row: "row"."""
    found = np.empty(len(rows))
    vectors = texts.T.astype(np.float64)
    for some in _blocks(len(rows), max(1, numbers // (4 * len(texts)))):
        scaled = a * (images[rows[some]].astype(np.float64) @ vectors)
        most = scaled.max(axis=1)
        found[some] = most + np.log(np.exp(scaled - most[:, None]).sum(axis=1))
    return found


def cos_similarity(
    activations: Activations, neurons: int, images: Floats, texts: Floats, *, numbers: int = NUMBERS
) -> Iterator[Scored]:
    """Score by the cosine of what a neuron gives and a text's similarities, over all images.

    P is a product, so that both norms and all products follow from sums of the joint space's size.
    """
    joint = images.shape[1]
    products, second = np.zeros((neurons, joint)), np.zeros((joint, joint))
    squares = np.zeros(neurons)
    for some in _blocks(len(images), max(1, numbers // (4 * max(neurons, joint)))):
        given = activations(some).astype(np.float64)
        vectors = images[some].astype(np.float64)
        products += given.T @ vectors
        second += vectors.T @ vectors
        squares += (given**2).sum(axis=0)
    for block in _blocks(len(texts), max(1, numbers // (8 * max(neurons, joint)))):
        directions = texts[block].astype(np.float64)
        norms = np.sqrt(((directions @ second) * directions).sum(axis=1).clip(0))
        scores = (products @ directions.T) / np.sqrt(squares)[:, None]
        scores = _or_none(scores, norms)
        yield Scored(slice(0, neurons), block, scores, scores)


def cos_similarity_cubed(
    activations: Activations, neurons: int, images: Floats, texts: Floats, *, numbers: int = NUMBERS
) -> Iterator[Scored]:
    """Score by the cosine of both columns after they are centred and cubed; the largest values decide."""
    middle = images.mean(axis=0, dtype=np.float64)
    step = max(1, numbers // (4 * max(neurons, images.shape[1])))
    means = np.zeros(neurons)
    for some in _blocks(len(images), step):
        means += activations(some).sum(axis=0, dtype=np.float64) / len(images)
    for block in _blocks(len(texts), max(1, min(numbers // neurons, numbers // (4 * step)))):
        directions = texts[block].T.astype(np.float64)
        products, theirs, ours = np.zeros((neurons, directions.shape[1])), 0.0, np.zeros(neurons)
        for some in _blocks(len(images), step):
            given = _cubed(activations(some) - means)
            said = _cubed((images[some] - middle) @ directions)
            products += given.T @ said
            ours += (given**2).sum(axis=0)
            theirs = theirs + (said**2).sum(axis=0)
        norms = np.maximum(np.sqrt(ours), LEAST_NORM)[:, None] * np.maximum(np.sqrt(theirs), LEAST_NORM)
        products /= norms
        yield Scored(slice(0, neurons), block, products, products)


def rank_reorder(
    top: Places,
    given: Doubles,
    images: Floats,
    texts: Floats,
    *,
    p: float,
    scale: float,
    numbers: int = NUMBERS,
) -> Iterator[Scored]:
    """Score by how little a neuron's activations change when a text's cosines put them in order.

    Over the images `top` ("neuron rank") and what the neuron gives for them ("neuron rank", falling): the
    mean of |q - q reordered|^p, over what random orders cost (always the same ones), over the mean cosine to
    the power `scale`, negated. A text whose mean cosine is not positive cannot be scaled, and has -inf. Takes
    a sort for each neuron and text: days for 2,000 neurons and 20,000 texts of 100,000 images.
    """
    count = top.shape[1]
    dice = np.random.default_rng(0)
    orders = np.stack([dice.permutation(count) for _ in range(SHUFFLES)])
    for neuron, rows in enumerate(top):
        falling = given[neuron]
        rising = falling[::-1]
        usual = (np.abs(rising - rising[orders]) ** p).mean()
        vectors = images[rows].astype(np.float64)
        for block in _blocks(len(texts), max(1, numbers // (4 * count))):
            cosines = vectors @ texts[block].T.astype(np.float64)
            places = cosines.argsort(axis=0, kind="stable").argsort(axis=0, kind="stable")
            error = (np.abs(falling[:, None] - rising[places]) ** p).mean(axis=0) / usual
            mean = cosines.mean(axis=0)
            scores = -error / np.where(mean > 0, mean, 1) ** scale
            scores = np.where(mean > 0, scores, -np.inf)[None]
            yield Scored(slice(neuron, neuron + 1), block, scores, scores)


def best(scored: Iterator[Scored], k: int) -> dict[int, list[tuple[int, float]]]:
    """Keep the k best texts of each neuron with their scores, from the best down; of equal ones the first.

    Blocks of texts come in their order. A text that a function cannot judge is not among them.
    """
    kept: dict[tuple[int, int], Any] = {}
    for neurons, texts, scores, order in scored:
        places = np.broadcast_to(np.arange(texts.start, texts.stop), order.shape)
        whole = [order, scores, places]
        if (before := kept.get((neurons.start, neurons.stop))) is not None:
            whole = [np.concatenate(both, axis=1) for both in zip(before, whole, strict=True)]
        chosen = np.argsort(-whole[0], axis=1, kind="stable")[:, :k]
        kept[neurons.start, neurons.stop] = [np.take_along_axis(each, chosen, axis=1) for each in whole]
    found: dict[int, list[tuple[int, float]]] = {}
    for (start, _), (_, scores, places) in kept.items():
        for row in range(len(scores)):
            judged = np.isfinite(scores[row])
            pairs = zip(places[row, judged].tolist(), scores[row, judged].tolist(), strict=True)
            found[start + row] = list(pairs)
    return found


def _cubed(values: Doubles) -> Doubles:
    """Take the third power, by products: numpy's power takes thirty times as long."""
    found: Doubles = values * values
    found *= values
    return found


def _or_none(scores: Doubles, norms: Doubles) -> Doubles:
    """Divide by norms; -inf for a text whose similarities are all zero."""
    found: Doubles = np.where(norms > 0, scores / np.where(norms > 0, norms, 1), -np.inf)
    return found


def _blocks(length: int, step: int) -> Iterator[slice]:
    for start in range(0, length, step):
        yield slice(start, min(start + step, length))
