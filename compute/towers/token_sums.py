"""The proof that what is traced of single tokens is what heads add: over the tokens it sums to that."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from .trace import Array, Constants, Trace

Exact = npt.NDArray[np.float64]


def error_by_token(trace: Trace, constants: Constants) -> float:
    """Give the largest relative error, over images, of what was traced by token; 0 where nothing was.

    Token factors sum to the heads' factors, relative to these. What heads write from patches, with what they
    take of the tokens before the patches, sums to what they write together, in both conventions and relative
    to the embedding, as all terms do. The patches can be checked where the factors of those tokens are there,
    too. Not a number where a factor is none.
    """
    with np.errstate(all="ignore"):
        found = [0.0]
        if trace.token_factor is not None:
            every = torch.from_numpy(trace.token_factor).sum(dim=3).numpy() - trace.factor
            found.append((_length(every) / _length(trace.factor)).max())
        ahead = _ahead_of_patches(trace, constants)
        if trace.patch is not None and ahead is not None:
            found.append(_of_patches(trace, constants, trace.patch, trace.factor - ahead))
    return float(np.max(found))


def _ahead_of_patches(trace: Trace, constants: Constants) -> Array | None:
    """Give what heads take of the tokens before the patches, "image layer head head_dim", if it is known."""
    prefix = constants.shape.prefix
    if prefix == 0:
        return np.zeros_like(trace.factor)
    if trace.token_factor is not None:
        ahead: Array = trace.token_factor[:, :, :, :prefix].sum(axis=3)
        return ahead
    return trace.class_factor if prefix == 1 else None


def _of_patches(trace: Trace, constants: Constants, patch: Array, factor: Array) -> float:
    """Compare the sum over patches with what heads write of the factors that are left for these."""
    scale = np.reciprocal(trace.sigma.astype(np.float64) * trace.norm)[:, None]
    own = (patch.sum(axis=1, dtype=np.float64) - joined(factor, constants)) * scale
    errors = [_length(own)]
    if constants.shape.shares_norm and trace.patch_mean is not None:
        size = constants.head_mean.size
        means = trace.patch_mean.sum(axis=1, dtype=np.float64)
        means -= factor.reshape(-1, size).astype(np.float64) @ constants.head_mean.reshape(size)
        errors.append(_length(own + means[:, None] * scale * constants.gain))
    return float((np.stack(errors) / _length(trace.embedding)).max())


def joined(factor: Array, constants: Constants) -> Exact:
    """Sum what heads of all layers write of their factors, centred and before it is scaled, "image joint".

    Torch multiplies, as numpy's threads would contend with those that torch has just used.
    """
    if constants.shape.dense:
        dense: Exact = factor.sum(axis=(1, 2), dtype=np.float64)
        return dense
    total = np.zeros((len(factor), constants.head_map.shape[2]))
    for layer, maps in enumerate(constants.head_map):
        flat = np.ascontiguousarray(factor[:, layer].reshape(len(factor), -1))
        total += (
            torch.from_numpy(flat) @ torch.from_numpy(maps.swapaxes(-1, -2).reshape(flat.shape[1], -1))
        ).numpy()
    return total


def _length(values: npt.NDArray[np.floating]) -> Exact:
    """Give the Euclidean length of what is there of each image."""
    lengths: Exact = np.linalg.norm(values.reshape(len(values), -1), axis=1)
    return lengths
