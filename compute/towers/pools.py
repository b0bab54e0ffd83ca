"""How the tokens of the last block become an embedding, as weights of the tokens and linear maps.

However a tower pools, its embedding is linear in the tokens z_q of the last block once the norms' deviations
and the pooling's attention are held: sum_k R_k C sum_q w_kq z_q, with one k where a token or the mean is
pooled, and one k for each head of a pooling attention (its values are read through the norm before it).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from .blocks import on_input, on_output
from .constants import Exact, affine, exact
from .rows import spread

Keep: TypeAlias = Callable[[str, Tensor], None]
Seen: TypeAlias = Mapping[str, Tensor]


@dataclass(slots=True)
class Weights:
    """What a pooling makes of one batch."""

    tokens: Tensor
    """w, "input reader row", of the rows that the pooling looks at."""
    sigma: Tensor
    """What all terms are divided by, "input"."""
    mu: Tensor
    """The mean that the last norm takes away, "input"."""
    after: Tensor | None = None
    """What an MLP after a pooling attention adds, in the joint space, "input joint"."""


class Pool(ABC):
    """A way of pooling."""

    rows: slice
    """The tokens that it looks at."""
    width: int
    """Width of the tokens."""

    @property
    @abstractmethod
    def joint(self) -> int:
        """Width of the embedding."""

    @property
    @abstractmethod
    def last_norm(self) -> nn.LayerNorm | None:
        """The norm of what is projected, where it is the mean or one token that is."""

    @property
    @abstractmethod
    def projection_bias(self) -> bool:
        """Whether what ends the tower adds a bias of its own."""

    @abstractmethod
    def watch(self, keep: Keep) -> Iterator[RemovableHandle]:
        """Hand what the pooling is given to `keep`, by name, for as long as the handles stay."""

    @abstractmethod
    def weigh(self, seen: Seen) -> Weights:
        """Give the weights of the tokens of one batch."""


@dataclass(frozen=True, eq=False)
class NormPool(Pool):
    """One token, or the mean of some, behind or before the last LayerNorm, and a projection."""

    rows: slice
    norm: nn.LayerNorm | None
    """The last norm; none where the mean itself is projected."""
    norm_first: bool
    """Whether all tokens are normed, and then pooled."""
    projection: Tensor | nn.Linear | None
    """What takes the pooled token to the joint space, "width joint" where it is a matrix."""
    given: nn.Module
    """The module that is given what is weighed: the norm, or what pools where that stands before it."""
    width: int

    @property
    def joint(self) -> int:
        """Width of the embedding."""
        matrix = self.projection
        if matrix is None:
            return self.width
        return matrix.out_features if isinstance(matrix, nn.Linear) else int(matrix.shape[1])

    @property
    def last_norm(self) -> nn.LayerNorm | None:
        """The norm."""
        return self.norm

    @property
    def projection_bias(self) -> bool:
        """Whether the projection has a bias."""
        return _has_bias(self.projection)

    def watch(self, keep: Keep) -> Iterator[RemovableHandle]:
        """Keep what the norm is given."""
        yield on_input(self.given, partial(keep, "last"))

    def weigh(self, seen: Seen) -> Weights:
        """Weigh the rows alike, each by what the norm divides it by where it comes first."""
        last = seen["last"].float()
        if self.norm is None:
            rows = last[:, self.rows]
            even = torch.full((len(rows), 1, rows.shape[1]), 1 / rows.shape[1], device=rows.device)
            one = torch.ones(len(rows), device=rows.device)
            return Weights(even, one, torch.zeros_like(one))
        if not self.norm_first:
            mu, sigma = spread(last, self.norm)
            count = len(range(*self.rows.indices(seen["entry"].shape[1])))
            even = torch.full((len(last), 1, count), 1 / count, device=last.device)
            return Weights(even, sigma, mu)
        mu, sigma = spread(last[:, self.rows], self.norm)
        inverse = sigma.reciprocal()
        weights = inverse / inverse.sum(dim=1, keepdim=True)
        return Weights(weights[:, None], inverse.mean(dim=1).reciprocal(), (weights * mu).sum(dim=1))

    def reader(self) -> tuple[Exact, Exact, Exact | None]:
        """Give R = Pᵀ diag(g), "joint width", Pᵀ b with the projection's bias, and that one, "joint"."""
        if self.norm is None:
            weight, bias = np.ones(self.width), np.zeros(self.width)
        else:
            weight, bias = affine(self.norm)
        matrix, own = self._projected()
        whole = matrix @ bias
        return matrix * weight, whole if own is None else whole + own, own

    def _projected(self) -> tuple[Exact, Exact | None]:
        projection = self.projection
        if projection is None:
            return np.eye(self.width), None
        if isinstance(projection, nn.Linear):
            own = cast("Tensor | None", projection.bias)
            return exact(projection.weight), None if own is None else exact(own)
        return exact(projection).T, None


@dataclass(frozen=True, eq=False)
class Attending:
    """A pooling attention of one learned query, whatever its class."""

    module: nn.Module
    """The module that is given the tokens to pool, as its norm gives them."""
    query: Tensor
    """The query of each head, "head head_dim", norms included."""
    key: Tensor
    """W_K, "head_width width"."""
    key_bias: Tensor | None
    key_norm: nn.Module | None
    """What norms the keys of each head."""
    value: Tensor
    """W_V, "head_width width"."""
    value_bias: Tensor | None
    out: nn.Linear
    """The output projection."""

    def weights(self, tokens: Tensor) -> Tensor:
        """Give the attention of each head, "input head token", in float32."""
        heads, head_dim = self.query.shape
        keys = nn.functional.linear(tokens, self.key, self.key_bias)
        keys = keys.view(*tokens.shape[:2], heads, head_dim)
        if self.key_norm is not None:
            keys = self.key_norm(keys)
        scores = torch.einsum("hd,ithd->iht", self.query.float(), keys.float()) * head_dim**-0.5
        return torch.softmax(scores, dim=-1)


@dataclass(frozen=True, eq=False)
class AttentionPool(Pool):
    """A pooling attention behind a LayerNorm of all tokens; an MLP or a LayerNorm may follow it."""

    rows: slice
    norm: nn.LayerNorm
    """The norm of the tokens."""
    attending: Attending
    mlp: nn.Module | None
    """What adds to the pooled row; its output is what it adds."""
    after: nn.LayerNorm | None
    """A norm of the pooled row."""
    pooled: nn.Module | None
    """The module that is given the pooled row, "input width" or "input query width", where that is normed."""
    projection: Tensor | nn.Linear | None
    """What takes the pooled row to the joint space."""
    width: int
    _maps: list[tuple[Tensor, Tensor]] = field(default_factory=list)

    @property
    def joint(self) -> int:
        """Width of the embedding."""
        if self.projection is None:
            return self.attending.out.out_features
        linear_map = self.projection
        return linear_map.out_features if isinstance(linear_map, nn.Linear) else int(linear_map.shape[1])

    @property
    def last_norm(self) -> nn.LayerNorm | None:
        """The norm of the pooled row."""
        return self.after

    @property
    def projection_bias(self) -> bool:
        """Whether the projection has a bias."""
        return _has_bias(self.projection)

    def watch(self, keep: Keep) -> Iterator[RemovableHandle]:
        """Keep the tokens before and after their norm, and what follows the attention."""
        yield on_input(self.norm, partial(keep, "last"))
        yield on_output(self.norm, partial(keep, "normed"))
        if self.mlp is not None:
            yield on_output(self.mlp, partial(keep, "mlp"))
        if self.pooled is not None:
            yield on_input(self.pooled, partial(keep, "pooled"))

    def weigh(self, seen: Seen) -> Weights:
        """Weigh the rows by each head's attention, and by what the norm divides them by."""
        alpha = self.attending.weights(seen["normed"][:, self.rows])
        _, spreads = spread(seen["last"][:, self.rows].float(), self.norm)
        sigma = torch.ones(len(alpha), device=alpha.device)
        if self.after is not None:
            sigma = spread(_first(seen["pooled"]).float(), self.after)[1]
        after = None
        if self.mlp is not None:
            after = _first(seen["mlp"]).float() @ torch.from_numpy(self._ending()[0].T).to(alpha)
        return Weights(alpha / spreads[:, None], sigma, torch.zeros_like(sigma), after)

    def maps(self) -> tuple[Tensor, Tensor]:
        """Give W_V diag(g) C of each head, "head head_dim width", and P W_O, "joint head head_dim".

        In float32, on the device of the tower. R_k is their product.
        """
        if not self._maps:
            heads, head_dim = self.attending.query.shape
            gain, _ = affine(self.norm)
            values = exact(self.attending.value) * gain
            values -= values.mean(axis=1, keepdims=True)
            ends = self._ending()[0] @ exact(self.attending.out.weight)
            device = self.attending.value.device
            self._maps.append(
                (
                    torch.from_numpy(values.reshape(heads, head_dim, -1)).to(device, torch.float32),
                    torch.from_numpy(ends.reshape(-1, heads, head_dim)).to(device, torch.float32),
                )
            )
        return self._maps[0]

    def bias(self) -> Exact:
        """Give what values' and output's biases and the tokens' norm add to every embedding, "joint"."""
        attending = self.attending
        _, bias = affine(self.norm)
        values = exact(attending.value) @ bias
        if attending.value_bias is not None:
            values = values + exact(attending.value_bias)
        own = cast("Tensor | None", attending.out.bias)
        pooled = exact(attending.out.weight) @ values + (0 if own is None else exact(own))
        ending: Exact = self._ending()[0] @ pooled
        return ending

    def last_bias(self) -> tuple[Exact, Exact | None]:
        """Give what is added after all terms are scaled, and the projection's own share of it, "joint"."""
        _, bias, own = self._ending()
        return bias, own

    def _ending(self) -> tuple[Exact, Exact, Exact | None]:
        """Give P, or P diag(g) C, "joint width"; P b and the projection's bias, and that one, "joint"."""
        norm = NormPool(
            slice(0, 1), self.after, True, self.projection, self.norm, self.attending.out.out_features
        )
        matrix, bias, own = norm.reader()
        if self.after is not None:
            matrix = matrix - matrix.mean(axis=1, keepdims=True)
        return matrix, bias, own


def _first(rows: Tensor) -> Tensor:
    """Give the first row of each input, where there are several."""
    return rows[:, 0] if rows.ndim == 3 else rows


def _has_bias(projection: Tensor | nn.Linear | None) -> bool:
    return isinstance(projection, nn.Linear) and projection.bias is not None
