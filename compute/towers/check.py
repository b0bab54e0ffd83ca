"""The proof that a traced batch is whole: its terms sum to the tower's own embedding."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ...store.errors import NoDirection
from ...store.views import Array
from .token_sums import error_by_token, joined
from .trace import Constants, Trace

Exact = npt.NDArray[np.float64]

TOLERANCE = {"float32": 1e-5, "float16": 5e-3, "bfloat16": 3e-2}
"""The largest relative error at which a batch may be kept, by the precision that the tower computed in."""


def directed(norm: Array, what: str) -> None:
    """Refuse embeddings of length zero, or of none; `NoDirection` counts them.

    `norm` has the lengths, "image" or "text"; `what` says in the plural what was embedded.
    """
    strange = int(np.count_nonzero(~np.isfinite(norm)))
    zero = int(np.count_nonzero(norm == 0))
    if zero or strange:
        raise NoDirection(what, zero, strange, len(norm))


def check(trace: Trace, constants: Constants) -> float:
    """Give the largest relative error, over images and conventions, of the sum of all terms to the embedding.

    Or of what was traced of single tokens to what heads add of all of them, where that is larger.
    Not a number where the tower gave none, so keep a batch only if `check(...) <= TOLERANCE[precision]`. One
    matrix product per layer, heads summed inside it: no contribution is ever written out. Torch multiplies,
    as numpy's threads would contend with those that torch has just used.
    """
    with np.errstate(all="ignore"):
        scale = np.reciprocal(trace.sigma.astype(np.float64) * trace.norm)[:, None]
        own: Exact = (
            _linear_sum(trace, constants) * scale + constants.bias / trace.norm[:, None] - trace.embedding
        )
        sums: list[Exact] = [own]
        if constants.shape.shares_norm:
            sums.append(own + (_mean_sum(trace, constants) - trace.mu)[:, None] * scale * constants.gain)
        error = np.linalg.norm(np.stack(sums), axis=-1) / np.linalg.norm(trace.embedding, axis=-1)
    return float(np.max([error.max(), error_by_token(trace, constants)]))


def _linear_sum(trace: Trace, constants: Constants) -> Exact:
    """Sum every own-centred term before scaling, "image joint"."""
    total: Exact = trace.mlp.sum(axis=1, dtype=np.float64)
    total += constants.embedding + constants.attn_bias.sum(axis=0, dtype=np.float64)
    if trace.entry is not None:
        total += trace.entry
    if trace.rest is not None:
        total += trace.rest.sum(axis=1, dtype=np.float64)
    total += joined(trace.factor, constants)
    return total


def _mean_sum(trace: Trace, constants: Constants) -> Exact:
    """Sum the means of all components, "image": ln_post's mean, put together again."""
    size = constants.head_mean.size
    total: Exact = trace.factor.reshape(-1, size).astype(np.float64) @ constants.head_mean.reshape(size)
    total += trace.mlp_mean.sum(axis=1, dtype=np.float64)
    total += constants.attn_bias_mean.sum(dtype=np.float64) + constants.embedding_mean
    if trace.entry_mean is not None:
        total += trace.entry_mean
    return total
