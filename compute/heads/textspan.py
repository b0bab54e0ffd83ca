"""TextSpan: the texts that explain most of what a head writes, chosen from the head's moments alone.

Algorithm 1 of Gandelsman, Efros and Steinhardt, "Interpreting CLIP's Image Representation via Text-Based
Decomposition" (ICLR 2024) takes a head's contributions c_i to the embeddings of all images, and the
embeddings of a pool of texts, projected to the space that the head writes to. It picks the text whose inner
product with c_i varies most over the images, takes the direction of that text out of both the contributions
and the texts, and repeats.

Everything that it asks of the images is quadratic in them. With c = M~ s~, a basis Q of the head's span
(orthonormal columns), B = Q^T M~ and the covariance of s~,

    S = B Cov(s~) B^T,     t_j = Q^T text_j,     v_j = t_j^T S t_j = Var_i <text_j, c_i>

hold all of them, so m picks cost m products with the projected texts however many images there are:

    j = argmax v ;  u = t_j / |t_j| ;  w = S u ;  q = u.w ;  a_j = t_j.u ;  b_j = t_j.w
    v <- v - 2 a b + q a^2 ;   t_j <- t_j - a_j u ;   S <- S - u w^T - w u^T + q u u^T

As w and each later u are orthogonal to every earlier u, a and b may be taken of the texts as they were
projected first: only the text that is picked is ever deflated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .moments import EXTRA, ONE_THREAD, statistics

Floats = NDArray[np.floating[Any]]
Doubles = NDArray[np.float64]
Span = Literal["weights", "svd", "full"]

RANK_TOLERANCE = 1e-12
"""A direction belongs to a span if its squared singular value exceeds this share of the largest."""

NOISE = 1e-13
"""Share of the largest mean square score below which differences of variance are taken for round-off."""

RIVAL = 0.9
"""Share of the chosen text's criterion at which another text would have done nearly as well."""


@dataclass(frozen=True, slots=True)
class Picks:
    """The chosen texts of one head, in the order of choice; all of it is "rank"."""

    text: NDArray[np.int64]
    """Row of the text."""
    variance: Doubles
    """Share of the head's total variance that lies along the text, after the texts before it: in [0, 1]."""
    cumulative_variance: Doubles
    """Share explained by the texts so far."""
    margin: Doubles
    """How far the runner-up fell behind: 1 - v2 / v1, in [0, 1]; 0 is a tie, won by the lower row."""
    rivals: tuple[NDArray[np.int64], ...]
    """Rows of the texts that would have done nearly as well (90 %), among them the one that was chosen.

    Once it is chosen its synonyms explain no more, so that they never come to be chosen themselves.
    """


def textspan(
    moments_lh: Doubles,
    joint_map: Floats,
    texts: Floats,
    *,
    m: int,
    span: Span,
) -> Picks:
    """The at most `m` texts that explain most of the variance of one head.

    `moments_lh` "factor factor" are the head's moments, `joint_map` "joint coordinate" its M~ (of as many
    leading coordinates of s~ as its convention uses), `texts` "text joint" unit-norm embeddings; a text
    with a NaN is never picked. Before they compete, texts are projected to the `span`:

    * "weights": the column space of the head's own output map, whatever the images;
    * "svd": the head_dim leading right singular vectors of the uncentred contributions;
    * "full": every direction in which the contributions do not vanish.

    Picking ends early where no text explains more than round-off: past the rank of the span or of the
    texts. A head that writes the same for all images, or fewer than two images, gives no picks.
    """
    picks = layer_textspan(moments_lh[None], joint_map[None], texts, m=m, span=span)
    return picks[0]


def layer_textspan(
    layer_moments: Doubles,
    joint_maps: Floats,
    texts: Floats,
    *,
    m: int,
    span: Span,
) -> list[Picks]:
    """`textspan` of each head of a layer: "head factor factor" and "head joint coordinate".

    The texts are projected for all heads at once, into 8 * heads * head_dim * texts bytes.
    """
    pairs = zip(layer_moments, joint_maps.astype(np.float64), strict=True)
    written = [_written(moments_lh, joint_map, span) for moments_lh, joint_map in pairs]
    projected = np.concatenate([head.basis for head in written]) @ _embeddable(texts).T
    ends = np.cumsum([len(head.basis) for head in written])
    return [
        _pick(words, head, m) for words, head in zip(np.split(projected, ends[:-1]), written, strict=True)
    ]


def axes(moments_lh: Doubles, joint_map: Floats, texts: Floats, *, span: Span) -> Doubles:
    """The orthonormal directions along which texts explain a head, in the order of the texts: "rank joint".

    `texts` "text joint" are those that were picked, in order; each is projected to the `span` and loses what
    lies along those before it, as in the algorithm. What a head's contributions have along the first m is
    their projection on the first m texts.
    """
    basis = _written(moments_lh, joint_map.astype(np.float64), span).basis
    taken = np.zeros((0, len(basis)))
    for text in texts.astype(np.float64) @ basis.T:
        taken = np.vstack([taken, _direction(text, taken)])
    return taken @ basis


def _embeddable(texts: Floats) -> Doubles:
    """Texts in float64; one that has no embedding becomes zero, which explains nothing."""
    return np.where(np.isnan(texts).any(axis=1, keepdims=True), 0.0, texts).astype(np.float64, copy=False)


@dataclass(frozen=True, slots=True)
class _Written:
    """What a head writes, in the coordinates of its span."""

    basis: Doubles
    """Q^T: orthonormal rows, "direction joint"."""
    mean: Doubles
    """Mean contribution, "direction"."""
    covariance: Doubles
    """S: covariance of the contributions, "direction direction"."""
    total: float
    """Variance of the contributions summed over all of the joint space, of which the span may miss a part."""


def _written(moments_lh: Doubles, joint_map: Doubles, span: Span) -> _Written:
    """The head's mean and covariance in the coordinates of the span asked for."""
    head_dim = len(moments_lh) - EXTRA
    seen = statistics(moments_lh, joint_map.shape[1])
    if span == "weights":
        basis = _orthonormal(joint_map[:, :head_dim].T)
    else:
        rank = None if span == "full" else head_dim
        basis = _singular(_orthonormal(joint_map.T), joint_map, seen.second, rank)
    to_span = _product(basis, joint_map)
    return _Written(
        basis=basis,
        mean=to_span @ seen.mean,
        covariance=_congruent(to_span, seen.covariance),
        total=float(np.vdot(_product(joint_map.T, joint_map), seen.covariance)),
    )


def _orthonormal(rows: Doubles) -> Doubles:
    """Orthonormal rows that span what `rows` span.

    Each is scaled to one length first, so that a short one counts as much as a long one. The second time
    makes up for the digits that the inner products of the first, being squares, have lost.
    """
    length = np.linalg.norm(rows, axis=1)
    rows = rows[length > 0] / length[length > 0, None]
    for _ in range(2):
        rows = _product(_whitening(_product(rows, rows.T)), rows)
    return rows


def _whitening(gram: Doubles) -> Doubles:
    """Z with Z gram Z^T = 1, of as many rows as the rank of `gram`.

    The inverse of its Cholesky factor where that proves full rank: the sum of its squares bounds 1 /
    (smallest eigenvalue). Else by eigenvectors, for which LAPACK may wait a hundred times as long on a core
    that is shared.
    """
    try:
        inverse = np.linalg.inv(np.linalg.cholesky(gram))
        if np.sum(inverse**2) * np.trace(gram) < 1 / RANK_TOLERANCE:
            return inverse
    except np.linalg.LinAlgError:
        pass
    squares, vectors = np.linalg.eigh(gram)
    kept = squares > RANK_TOLERANCE * squares[-1]
    return np.ascontiguousarray((vectors[:, kept] / np.sqrt(squares[kept])).T)


def _singular(frame: Doubles, joint_map: Doubles, second: Doubles, rank: int | None) -> Doubles:
    """The at most `rank` leading right singular vectors of the uncentred contributions, which `frame` spans.

    They are eigenvectors of R second R^T where M~ = O R is a QR. The columns of R keep the scale of those
    of M~, so that the squares of coordinates which hardly vary are not lost among those which do.
    """
    rotation, triangle = np.linalg.qr(_product(frame, joint_map))
    squares, vectors = np.linalg.eigh(_congruent(triangle, second))
    nonzero = int(np.count_nonzero(squares > RANK_TOLERANCE * squares.max(initial=0.0)))
    leading = vectors[:, ::-1][:, : nonzero if rank is None else min(nonzero, rank)]
    return _product((rotation @ leading).T, frame)


def _pick(texts: Doubles, head: _Written, m: int) -> Picks:
    """The greedy choice among projected texts ("direction text")."""
    covariance = head.covariance
    variance = np.einsum("dt,dt->t", texts, _product(covariance, texts))
    noise = NOISE * float(np.max(variance + (head.mean @ texts) ** 2, initial=0.0))
    taken = np.zeros((0, len(texts)))
    picked: list[tuple[int, float, float]] = []
    rivals: list[NDArray[np.int64]] = []
    while len(picked) < min(m, *texts.shape):
        best, runner_up = _best_two(variance, noise)
        if not variance[best] > noise:
            break
        u = _direction(texts[:, best], taken)
        w = covariance @ u
        q = float(u @ w)
        picked.append((best, q / head.total, 1 - min(runner_up / float(variance[best]), 1.0)))
        rivals.append(np.flatnonzero(variance >= RIVAL * variance[best]))
        a, b = _product(np.stack([u, w]), texts)
        variance -= 2 * a * b - q * a**2
        variance[best] = -np.inf
        covariance = covariance - np.outer(u, w) - np.outer(w, u) + q * np.outer(u, u)
        taken = np.vstack([taken, u])
    text, share, margin = np.array(picked, dtype=np.float64).reshape(-1, 3).T
    return Picks(text.astype(np.int64), share, np.cumsum(share), margin, tuple(rivals))


def _best_two(variance: Doubles, noise: float) -> tuple[int, float]:
    """The lowest index of those that tie for the largest variance, and the largest variance of the others."""
    best = int(np.argmax(variance >= variance.max() - noise))
    others = max(variance[:best].max(initial=0.0), variance[best + 1 :].max(initial=0.0))
    return best, float(others)


def _direction(text: Doubles, taken: Doubles) -> Doubles:
    """The unit vector along what the directions taken leave of a text (Gram-Schmidt, twice)."""
    for _ in range(2):
        text = text - (taken @ text) @ taken
    return text / np.linalg.norm(text)


def _congruent(a: Doubles, s: Doubles) -> Doubles:
    """The product a s a^T."""
    return _product(_product(a, s), a.T)


def _product(left: Doubles, right: Doubles) -> Doubles:
    """The product of two matrices, in blocks of columns small enough to stay on one thread."""
    product = np.empty((len(left), right.shape[1]))
    step = max(1, ONE_THREAD // max(left.size, 1))
    for start in range(0, right.shape[1], step):
        columns = slice(start, start + step)
        np.matmul(left, right[:, columns], out=product[:, columns])
    return product
