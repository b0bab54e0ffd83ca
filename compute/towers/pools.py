"""How the tokens of the last block become an embedding, as weights of the tokens and linear maps.

However a tower pools, its embedding is linear in the tokens z_q of the last block once the norms' deviations
and the pooling's attention are held: sum_k R_k C sum_q w_kq z_q, with one k where a token or the mean is
pooled, and one k for each head of a pooling attention (its values are read through the norm before it).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TypeAlias, cast

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from .blocks import on_input, on_output
from .constants import Exact, affine, exact, read_out
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
        return _joint(self.projection, self.width)

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

    @cached_property
    def reader(self) -> tuple[Exact, Exact, Exact | None]:
        """R = Pᵀ diag(g), "joint width"; Pᵀ b with the projection's bias, and that one, "joint"."""
        return read_out(self.norm, self.projection, self.width)

    @cached_property
    def read(self) -> Tensor:
        """Rᵀ in float32 on the tower's device, "width joint"."""
        device = next(self.given.parameters()).device
        return torch.from_numpy(self.reader[0].T).to(device, torch.float32)


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

    @property
    def joint(self) -> int:
        """Width of the embedding."""
        return _joint(self.projection, self.attending.out.out_features)

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
            after = _first(seen["mlp"]).float() @ self._end
        return Weights(alpha / spreads[:, None], sigma, torch.zeros_like(sigma), after)

    @cached_property
    def maps(self) -> tuple[Tensor, Tensor]:
        """W_V diag(g) C of each head, "head head_dim width", and P W_O, "joint head head_dim".

        In float32, on the device of the tower. R_k is their product.
        """
        heads, head_dim = self.attending.query.shape
        gain, _ = affine(self.norm)
        values = exact(self.attending.value) * gain
        values -= values.mean(axis=1, keepdims=True)
        ends = self._ending[0] @ exact(self.attending.out.weight)
        return (
            self._on_device(values.reshape(heads, head_dim, -1)),
            self._on_device(ends.reshape(-1, heads, head_dim)),
        )

    @cached_property
    def bias(self) -> Tensor:
        """What values' and output's biases and the tokens' norm add to every embedding, "joint"."""
        attending = self.attending
        _, bias = affine(self.norm)
        values = exact(attending.value) @ bias
        if attending.value_bias is not None:
            values = values + exact(attending.value_bias)
        own = cast("Tensor | None", attending.out.bias)
        pooled = exact(attending.out.weight) @ values + (0 if own is None else exact(own))
        return self._on_device(self._ending[0] @ pooled)

    @property
    def last_bias(self) -> tuple[Exact, Exact | None]:
        """What is added after all terms are scaled, and the projection's own share of it, "joint"."""
        _, bias, own = self._ending
        return bias, own

    @cached_property
    def _ending(self) -> tuple[Exact, Exact, Exact | None]:
        """P, or P diag(g) C, "joint width"; P b and the projection's bias, and that one, "joint"."""
        matrix, bias, own = read_out(self.after, self.projection, self.attending.out.out_features)
        if self.after is not None:
            matrix = matrix - matrix.mean(axis=1, keepdims=True)
        return matrix, bias, own

    @cached_property
    def _end(self) -> Tensor:
        """What reads the pooled row, "width joint"."""
        return self._on_device(self._ending[0].T)

    def _on_device(self, values: Exact) -> Tensor:
        return torch.from_numpy(values).to(self.attending.value.device, torch.float32)


def _first(rows: Tensor) -> Tensor:
    """Give the first row of each input, where there are several."""
    return rows[:, 0] if rows.ndim == 3 else rows


def _joint(projection: Tensor | nn.Linear | None, width: int) -> int:
    """Give the width of what a projection gives of a row this wide."""
    if projection is None:
        return width
    return projection.out_features if isinstance(projection, nn.Linear) else int(projection.shape[1])


def _has_bias(projection: Tensor | nn.Linear | None) -> bool:
    return isinstance(projection, nn.Linear) and projection.bias is not None
