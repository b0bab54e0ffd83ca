"""Stored factors read as contributions, under either convention for ln_post's mean and the biases.

The image embedding is e = (Pᵀ diag(g) C z / sigma + Pᵀ b) / n, where z is the class token's last residual,
a sum over attention heads, their output biases, MLPs and the token's own entry (Gandelsman, Efros and
Steinhardt, "Interpreting CLIP's Image Representation via Text-Based Decomposition", ICLR 2024, section 3).
What is linear in z is shared out; what is left is a matter of convention:

* `own`: each component is centred by its own mean, and each bias is a term of its own;
* `clip_prs`: ln_post's mean and bias are split equally over T = 2L + 1 components (L attention layers,
  L MLPs, the entry), then over an attention layer's heads and tokens, as is its output bias: as published.

Under each of them all terms sum to the unit-norm image embedding. A text is read alike: the pooled row
stands in the class token's place, ln_final in ln_post's, and what enters differs by text. Numpy only: reading
needs no model.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ...store.sets import TowerShape
from ..towers.trace import Array, Constants

Convention = Literal["own", "clip_prs"]
Stored = npt.NDArray[np.floating[Any]]

AT_ONCE = 16
"""Rows multiplied at a time: what they write stays near the processor, which is 1.2 to 4 times faster."""


def heads(
    factor: Stored,
    sigma: Stored,
    mu: Stored,
    norm: Stored,
    constants: Constants,
    convention: Convention,
) -> Array:
    """Multiply head factors out: what each head adds to the unit-norm embedding, summed over tokens.

    `factor` is "image layer head head_dim" (float32 or float16) of exactly the layers and heads of
    `constants`, the scalars are "image"; the answer is float32, "image layer head joint".
    """
    if constants.shape.dense:
        return _kept(factor, sigma, norm, constants)
    return _heads(*_operands(factor, sigma, mu, norm, constants, convention, tokens=1))


def class_token(
    factor: Stored,
    sigma: Stored,
    mu: Stored,
    norm: Stored,
    constants: Constants,
    convention: Convention,
) -> Array:
    """Multiply out what each head adds from the class token, as `heads` does: token 0 of what `tokens` gives.

    `factor` is "image layer head head_dim"; the answer is float32, "image layer head joint".
    """
    if constants.shape.dense:
        return _kept(factor, sigma, norm, constants)
    shares = constants.shape.tokens
    return _heads(*_operands(factor, sigma, mu, norm, constants, convention, tokens=shares))


def _kept(factor: Stored, sigma: Stored, norm: Stored, constants: Constants) -> Array:
    """Scale what is kept of heads whose contributions are kept themselves, of the joint coordinates asked."""
    joint = constants.head_map[0, 0].argmax(axis=-1)
    scale = _scale(sigma, norm)[(slice(None), *[None] * (factor.ndim - 1))]
    scaled: Array = np.multiply(factor[..., joint], scale, dtype=np.float32)
    return scaled


def _heads(factors: Array, maps: Array) -> Array:
    """Multiply "image layer head coordinate" with "layer head coordinate joint"."""
    return _products(factors[:, :, :, None], maps)[:, :, :, 0]


def _products(factors: Array, maps: Array) -> Array:
    """Multiply "image layer head token coordinate" with "layer head coordinate joint", some images at a time.

    Each row is multiplied on its own, as a vector: in a product of many rows the order of the sums, and
    with it the last bits, depends on where a row stands and on how many there are.
    """
    contributions = np.empty((*factors.shape[:-1], maps.shape[-1]), np.float32)
    maps = np.ascontiguousarray(maps)

    def multiply(start: int) -> None:
        some = slice(start, start + images)
        for each in np.ndindex(maps.shape[:2]):
            head = (some, *each, slice(None), None)
            np.matmul(factors[head], maps[each], out=contributions[head])

    images = max(AT_ONCE // factors.shape[3], 1)
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # numpy lets go of the interpreter in a product
        list(pool.map(multiply, range(0, len(factors), images)))
    return contributions


def tokens(
    factor: Stored,
    sigma: Stored,
    mu: Stored,
    norm: Stored,
    constants: Constants,
    convention: Convention,
) -> Array:
    """Multiply token factors out: what each head adds from each token.

    `factor` is "image layer head token head_dim", of any of the tower's tokens; the answer is float32,
    "image layer head token joint", and its sum over all tokens is what `heads` gives.
    """
    if constants.shape.dense:
        return _kept(factor, sigma, norm, constants)
    shares = constants.shape.tokens
    return _products(*_operands(factor, sigma, mu, norm, constants, convention, tokens=shares))


def patches(
    patch: Stored,
    patch_mean: Stored,
    sigma: Stored,
    mu: Stored,
    norm: Stored,
    constants: Constants,
    convention: Convention,
) -> Array:
    """Scale what all heads write from each patch ("image patch joint", means "image patch").

    The answer is float32 and of that shape: what `tokens` gives, summed over the layers and heads of
    `constants`, which are those of the whole tower.
    """
    scale = _scale(sigma, norm)
    contributions = patch * scale[:, None, None]
    if convention == "clip_prs":
        shape = constants.shape
        bias_mean = constants.attn_bias_mean.sum() - shape.layers * mu / shape.components
        along_gain = patch_mean * scale[:, None] + (bias_mean * scale / shape.tokens)[:, None]
        contributions += _outer(along_gain, constants.gain)
        shared = _outer(scale / shape.tokens, constants.attn_bias.sum(axis=0))
        shared += _outer(_bias_share(norm, constants) * (shape.layers / shape.tokens), constants.bias)
        contributions += shared[:, None]
    return contributions.astype(np.float32, copy=False)


def mlps(
    mlp: Stored,
    mlp_mean: Stored,
    sigma: Stored,
    mu: Stored,
    norm: Stored,
    constants: Constants,
    convention: Convention,
) -> Array:
    """Scale the MLPs' outputs ("image layer joint", means "image layer") to contributions of that shape."""
    scale = _scale(sigma, norm)
    contributions = mlp * scale[:, None, None]
    if convention == "clip_prs":
        share = mu / constants.shape.components
        contributions += _outer((mlp_mean - share[:, None]) * scale[:, None], constants.gain)
        contributions += _outer(_bias_share(norm, constants), constants.bias)[:, None]
    return contributions.astype(np.float32, copy=False)


def residual_terms(
    shape: TowerShape, convention: Convention, last: Sequence[str] = ("ln_post_bias",)
) -> tuple[str, ...]:
    """Name the terms that are neither heads nor MLPs, in the order of `residual`.

    `last` are the names of what is added after the last norm's scaling: of its own bias, and of the
    projection's where that has one.
    """
    if convention == "clip_prs":
        return ("embedding",)
    if shape.grade != "heads":
        return tuple(last)
    if len(shape.varying) > 1:
        return (*shape.varying, *last)
    layers = tuple(f"attn_bias[{layer}]" for layer in range(shape.layers))
    return ("embedding", *layers, *last)


def residual(
    sigma: Stored,
    mu: Stored,
    norm: Stored,
    constants: Constants,
    convention: Convention,
    entry: Stored | None = None,
    entry_mean: Stored | None = None,
    rest: Stored | None = None,
) -> Array:
    """Give every term that is neither a head nor an MLP, "image term joint".

    The terms are those that `residual_terms` names, `constants` those of all layers. In `own` each term is a
    constant direction at an image's scale, but for those that the shape calls varying: `entry`, "image
    joint", with its mean `entry_mean`, "image", and `rest`, "image term joint", as a trace has them.
    """
    scale = _scale(sigma, norm)
    if convention == "clip_prs":
        own_mean = np.float32(constants.embedding_mean) if entry_mean is None else entry_mean
        mean = (own_mean - mu / constants.shape.components) * scale
        first = _outer(scale, constants.embedding) if entry is None else entry * scale[:, None]
        first += _outer(mean, constants.gain)
        first += _outer(_bias_share(norm, constants), constants.bias)
        return first[:, None]
    own = constants.projection_bias
    biases = [constants.bias if own is None else constants.bias - own] if constants.shape.last_norm else []
    biases += [] if own is None else [own]
    last = _outer(np.reciprocal(norm)[:, None], np.reshape(biases, (len(biases), len(constants.bias))))
    if constants.shape.grade != "heads":
        return last
    if rest is not None and entry is not None:
        varying = np.concatenate([entry[:, None], rest], axis=1) * scale[:, None, None]
        return np.concatenate([varying, last], axis=1)
    scaled = _outer(scale[:, None], np.vstack([constants.embedding, constants.attn_bias]))
    if entry is not None:
        scaled[:, 0] = entry * scale[:, None]
    return np.concatenate([scaled, last], axis=1)


def _operands(
    factor: Stored,
    sigma: Stored,
    mu: Stored,
    norm: Stored,
    constants: Constants,
    convention: Convention,
    tokens: int,
) -> tuple[Array, Array]:
    """Scale the factors by 1/(sigma n), and lay the maps out "layer head head_dim joint" for one matmul.

    In `clip_prs` both carry three more entries: along Pᵀg (the map's own mean and a share of the output
    bias's, less one of mu), along the output bias, and along ln_post's bias. `tokens` is the number of tokens
    that share a head's constants.
    """
    per_image = (slice(None), *[None] * (factor.ndim - 1))
    scale = _scale(sigma, norm)[per_image]
    scaled = factor.astype(np.float32, copy=False) * scale
    maps = constants.head_map.swapaxes(-1, -2)
    if convention == "own":
        return scaled, maps
    per_layer = (None, slice(None), *[None] * (factor.ndim - 3))
    share = 1 / (constants.shape.heads * tokens)
    mean = np.einsum("ilh...d,lhd->ilh...", scaled, constants.head_mean)
    bias_mean = constants.attn_bias_mean[per_layer] - mu[per_image[:-1]] / constants.shape.components
    along_gain = mean + bias_mean * scale[..., 0] * share
    entries = [along_gain, scale[..., 0] * share, _bias_share(norm, constants)[per_image[:-1]] * share]
    extra = np.stack([np.broadcast_to(entry, mean.shape) for entry in entries], axis=-1)
    return np.concatenate([scaled, extra], axis=-1, dtype=np.float32), _with_constants(maps, constants)


def _with_constants(maps: Array, constants: Constants) -> Array:
    """Append to maps "layer head head_dim joint" the rows gain, output bias and ln_post bias."""
    layers, heads, head_dim, joint = maps.shape
    whole = np.empty((layers, heads, head_dim + 3, joint), np.float32)
    whole[:, :, :head_dim] = maps
    whole[:, :, head_dim] = constants.gain
    whole[:, :, head_dim + 1] = constants.attn_bias[:, None]
    whole[:, :, head_dim + 2] = constants.bias
    return whole


def _scale(sigma: Stored, norm: Stored) -> Array:
    """Give 1/(sigma n), "image"."""
    scale: Array = np.reciprocal(sigma * norm, dtype=np.float32)
    return scale


def _bias_share(norm: Stored, constants: Constants) -> Array:
    """Give one component's share of what is added after ln_post's scaling, "image"."""
    share: Array = np.reciprocal(constants.shape.components * norm, dtype=np.float32)
    return share


def _outer(scale: Stored, direction: Array) -> Array:
    """Give a direction at each scale, with the direction's axis last."""
    scaled: Array = np.multiply(scale[..., None], direction, dtype=np.float32)
    return scaled
