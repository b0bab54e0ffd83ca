"""What is kept of a traced tower: its shape, its fixed maps, and one batch of factors and scalars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ...store.sets import TowerShape

Array = npt.NDArray[np.float32]
Index = slice | npt.NDArray[np.intp] | Sequence[int]


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """One batch of images, or of texts in their place, as contiguous float32 numpy arrays on the host.

    Of a text the pooled row, as a rule that of its last token, stands in the class token's place. Lengths of
    the axes are those of the tower's `TowerShape`; each head's value bias is inside `factor`, LayerScale
    inside `mlp`. See `compute.heads.conventions` for what they become.
    """

    factor: Array
    """s = Σ_i alpha_i v_i of the class token's query, "image layer head head_dim"."""
    token_factor: Array | None
    """a_i = alpha_i v_i, "image layer head token head_dim"; only where it was asked for."""
    class_factor: Array | None
    """a_0, what the class token's query takes of the class token itself, "image layer head head_dim"; only
    where it was asked for."""
    mlp: Array
    """Pᵀ diag(g) C y of each MLP's output y at the class token, "image layer joint"."""
    mlp_mean: Array
    """mean(y), "image layer"."""
    sigma: Array
    """ln_post's sqrt(var + eps) at the class token, "image"."""
    mu: Array
    """ln_post's mean at the class token, "image"."""
    norm: Array
    """Euclidean norm of the tower's output, "image"."""
    embedding: Array
    """The tower's output at unit norm, "image joint"."""
    entry: Array | None = None
    """Pᵀ diag(g) C z0 of what the pooled row brings into the first block, "image joint"; only where that is
    not the same for all, as it is not for texts."""
    entry_mean: Array | None = None
    """mean(z0), "image"; only beside `entry`."""
    rest: Array | None = None
    """Of the terms that the shape calls varying those after the embedding, in the joint space and before they
    are scaled, "image term joint"."""
    patch: Array | None = None
    """Pᵀ diag(g) C Σ W_O a_i over all layers and heads, "image patch joint"; only where it was asked for."""
    patch_mean: Array | None = None
    """mean(Σ W_O a_i) beside it, "image patch"."""
    neuron_factor: Mapping[int, Array] | None = None
    """By the layer of an MLP, Σ_i alpha_i p_i,n / sigma_i of its neurons n as each head of a later layer
    reads them at the class token, "image later head neuron"; only where layers were asked for."""


@dataclass(frozen=True, slots=True, eq=False)
class Constants:
    """A tower's fixed maps into the joint space: float32, computed in float64.

    P is the tower's projection, g and b are ln_post's weight and bias, C = I - 11ᵀ/d takes the mean away.
    W_O and b_O are an attention layer's output projection with its LayerScale folded in.
    """

    shape: TowerShape
    """The whole tower's shape, also where only some layers and heads are held."""
    head_map: Array
    """A = Pᵀ diag(g) C W_O of each head, "layer head joint head_dim"; with joint innermost in memory (as
    `constants` makes it) few images are read up to three times faster. One identity, seen from every layer
    and head, where the shape is dense: what is kept are the contributions."""
    head_mean: Array
    """1ᵀ W_O / d of each head, "layer head head_dim"."""
    attn_bias: Array
    """Pᵀ diag(g) C b_O, "layer joint"."""
    attn_bias_mean: Array
    """mean(b_O), "layer"."""
    embedding: Array
    """Pᵀ diag(g) C z0 of what the class token brings into the first block, "joint"; zero where a trace has
    it as its `entry`."""
    embedding_mean: float
    """mean(z0)."""
    gain: Array
    """Pᵀ g, "joint"."""
    bias: Array
    """Pᵀ b, "joint", and the projection's own bias where it has one: all that is added after scaling."""
    projection_bias: Array | None = None
    """That own bias, "joint"; None where the projection has none."""

    def select(
        self, layers: Index = slice(None), heads: Index = slice(None), joint: Index = slice(None)
    ) -> Constants:
        """Keep the maps of these layers, heads and joint coordinates, in this order; slices copy nothing."""
        head_mean = self.head_mean[layers][:, heads]
        if self.shape.dense:
            rows = self.head_map[0, 0][joint]
            head_map = np.broadcast_to(rows, (*head_mean.shape[:2], *rows.shape))
        else:
            head_map = self.head_map[layers][:, heads][:, :, joint]
        return replace(
            self,
            head_map=head_map,
            head_mean=head_mean,
            attn_bias=self.attn_bias[layers][:, joint],
            attn_bias_mean=self.attn_bias_mean[layers],
            embedding=self.embedding[joint],
            gain=self.gain[joint],
            bias=self.bias[joint],
            projection_bias=None if self.projection_bias is None else self.projection_bias[joint],
        )
