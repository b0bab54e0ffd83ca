"""A residual block of any family as it is taken apart: what its heads write to the stream, and its MLP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, scaled_dot_product_attention
from torch.overrides import TorchFunctionMode
from torch.utils.hooks import RemovableHandle

from .constants import Exact, affine, exact
from .rows import spread


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """How the heads of one block write to the stream, and which module writes what its MLP gives."""

    attention: nn.Module
    """Its attention, which is given the tokens."""
    heads: int
    """Attention heads."""
    head_dim: int
    """Width of one head's value vector."""
    out: nn.Linear
    """The heads' output projection, whose input is what they gather, "input token head_width"."""
    mlp: nn.Module
    """The module whose output is what the MLP writes."""
    inner_norm: nn.LayerNorm | None = None
    """A norm of what the heads gather, before the output projection."""
    scale: Tensor | None = None
    """LayerScale's weights of what the heads write."""
    norm: nn.LayerNorm | None = None
    """A norm between the output projection and the stream."""

    def written(self) -> tuple[Exact, Exact, Exact]:
        """Give in float64 how what is gathered becomes what is written, "width head_width", and two biases.

        The first bias stands before the norm behind the output projection, and is divided by what that
        divides by; the second is constant. Without such a norm the first is zero.
        """
        weight, bias = exact(self.out.weight), _or_zero(self.out)
        if self.norm is not None:
            gain, last = affine(self.norm)
            centred = (weight - weight.mean(axis=0)) * gain[:, None]
            return centred, (bias - bias.mean()) * gain, last
        if self.scale is not None:
            gamma = exact(self.scale)
            weight, bias = weight * gamma[:, None], bias * gamma
        return weight, bias * 0, bias


def _or_zero(linear_map: nn.Linear) -> Exact:
    own = cast("Tensor | None", linear_map.bias)
    return exact(linear_map.weight[:, 0]) * 0 if own is None else exact(own)


@dataclass(slots=True)
class Queries:
    """What the heads of one block compare: "input head token head_dim" each, and what is added to scores."""

    query: Tensor
    key: Tensor
    value: Tensor
    mask: Tensor | None
    scale: float

    def weights(self, rows: slice) -> Tensor:
        """Give the attention of some tokens' queries, "input head row token", in float32."""
        scores = self.query[:, :, rows].float() @ self.key.float().transpose(-1, -2) * self.scale
        if self.mask is not None:
            mask = self.mask[..., rows, :] if self.mask.shape[-2] > 1 else self.mask
            hidden = mask.dtype == torch.bool
            scores = scores.masked_fill(~mask, -torch.inf) if hidden else scores + mask.float()
        return torch.softmax(scores, dim=-1)


class Comparing(TorchFunctionMode):
    """Keeps what `scaled_dot_product_attention` is given, whoever calls it, for the block of the moment."""

    def __init__(self) -> None:
        """Keep nothing yet."""
        super().__init__()
        self.layer: int | None = None
        """The block whose attention is under way."""
        self.seen: dict[int, Queries] = {}
        """What was compared, by layer."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Look at a call, and make it."""
        kwargs = kwargs or {}
        if function is scaled_dot_product_attention and self.layer is not None:
            self._keep(*args, **kwargs)
        return function(*args, **kwargs)

    def _keep(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> None:
        if is_causal or enable_gqa or key.shape[1] != query.shape[1]:
            return  # no vision tower that is taken apart; what is lacking is missed when it is asked for
        scale = query.shape[-1] ** -0.5 if scale is None else scale
        self.seen[cast(int, self.layer)] = Queries(query, key, value, attn_mask, scale)


def of_packed(attention: nn.MultiheadAttention, stream: Tensor) -> Queries:
    """Give what torch's own attention compares, which it does out of sight; `stream` is its input."""
    weight, bias = cast(Tensor, attention.in_proj_weight), cast(Tensor, attention.in_proj_bias)
    size = (*stream.shape[:2], 3, attention.num_heads, attention.head_dim)
    query, key, value = linear(stream, weight, bias).view(size).permute(2, 0, 3, 1, 4)
    return Queries(query, key, value, None, attention.head_dim**-0.5)


def gathered(queries: Queries) -> Tensor:
    """Give what the heads gather, "input token head_width"."""
    each = scaled_dot_product_attention(queries.query, queries.key, queries.value)
    return each.transpose(1, 2).flatten(2)


def divided(norm: nn.LayerNorm, entering: Tensor) -> Tensor:
    """Give 1/sigma that a norm takes of each token, "input token"."""
    return spread(entering.float(), norm)[1].reciprocal()


def on_input(module: nn.Module, take: Any) -> RemovableHandle:
    """Watch what enters a module."""

    def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        take(args[0] if args else next(iter(kwargs.values())))

    return module.register_forward_pre_hook(hook, with_kwargs=True)


def on_output(module: nn.Module, take: Any) -> RemovableHandle:
    """Watch what a module gives."""

    def hook(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        take(output)

    return module.register_forward_hook(hook)
