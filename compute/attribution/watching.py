"""A batch of images that went through an unmodified vision tower, with all that attributions ask of it.

The tower is open_clip's own, as in `towers/rows.py`; its fused attention is never replaced. Hooks keep what
enters and leaves each layer, and from that attention weights are computed again, in float32 or, for a tower
in float64, in float64. With A the attention of a head, v its values and g the gradient of the target with
respect to what the layer writes, the target's gradient with respect to A is (W_Oᵀ g) · v.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, cast

import torch
from open_clip.transformer import LayerScale, VisionTransformer
from torch import Tensor, nn
from torch.nn.functional import linear

from ..towers.native import blocks_of, refuse_unless_traceable
from ..towers.rows import Block

Choose = Callable[[Tensor], Tensor]
"""From embeddings "image joint" of unit norm to the text that each image is to be explained by, likewise."""


@dataclass(eq=False)
class Layer:
    """One residual block, and what went through it."""

    block: Block
    """The block."""
    entering: Tensor
    """What enters it, "image token width"."""
    normed: Tensor
    """What its attention sees."""
    attended: Tensor
    """What its attention adds."""
    widening: Tensor
    """What its MLP sees."""
    hidden: Tensor
    """What its MLP's last linear layer sees, "image token hidden"."""
    added: Tensor
    """What its MLP adds."""
    gradient: Tensor | None = None
    """The target's gradient with respect to `attended`."""

    @property
    def middle(self) -> Tensor:
        """What stands between attention and MLP."""
        return self.entering + self.attended

    @cached_property
    def _three(self) -> list[Tensor]:
        """Queries, keys and values, each "image head token head_dim", before any norm of theirs."""
        attention = self.block.attn
        made = linear(self.normed, self._exact(attention.in_proj_weight), self._exact(attention.in_proj_bias))
        return [self._by_head(each) for each in made.chunk(3, dim=-1)]

    @property
    def queries(self) -> Tensor:
        """The queries as they are compared, "image head token head_dim"."""
        return self._normed("ln_q", self._three[0])

    @property
    def keys(self) -> Tensor:
        """The keys as they are compared, "image head token head_dim"."""
        return self._normed("ln_k", self._three[1])

    @property
    def values(self) -> Tensor:
        """The values, "image head token head_dim"."""
        return self._three[2]

    @cached_property
    def attention(self) -> Tensor:
        """The attention weights, "image head query token"."""
        compared = self.queries @ self.keys.transpose(-1, -2)
        return torch.softmax(compared * self.block.attn.head_dim**-0.5, dim=-1)

    @cached_property
    def context(self) -> Tensor:
        """What the heads gather, side by side, as the output projection sees it, "image token width"."""
        gathered = self.attention @ self.values * self._head_scale
        return gathered.transpose(1, 2).flatten(2)

    @property
    def attention_gradient(self) -> Tensor:
        """The target's gradient with respect to the attention weights, "image head query token"."""
        back = cast(Tensor, self.gradient)
        if isinstance(self.block.ls_1, LayerScale):
            back = back * self._exact(self.block.ls_1.gamma)
        back = self._by_head(back @ self._exact(self.block.attn.out_proj.weight)) * self._head_scale
        return back @ self.values.transpose(-1, -2)

    @property
    def _head_scale(self) -> Tensor | float:
        scale = getattr(self.block.attn, "head_scale", None)
        return 1.0 if scale is None else self._exact(scale)

    def _by_head(self, each: Tensor) -> Tensor:
        attention = self.block.attn
        return each.view(*each.shape[:2], attention.num_heads, attention.head_dim).transpose(1, 2)

    def _exact(self, weight: Tensor) -> Tensor:
        return weight.detach().to(self.normed.dtype)

    def _normed(self, name: str, each: Tensor) -> Tensor:
        norm = getattr(self.block.attn, name, None)
        if not isinstance(norm, nn.LayerNorm):
            return each
        weight, bias = self._exact(norm.weight), self._exact(norm.bias)
        return nn.functional.layer_norm(each, norm.normalized_shape, weight, bias, norm.eps)


@dataclass(eq=False)
class Seen:
    """A batch, and what each layer made of it."""

    visual: VisionTransformer
    """The tower."""
    layers: list[Layer]
    """Its blocks, from the first to the last."""
    patches: Tensor
    """What the tower's convolution makes of each patch, before positions are added, "image patch width"."""
    last: Tensor
    """The class token behind the last norm, "image width"."""
    embedding: Tensor
    """The image embeddings at unit norm, "image joint"."""
    direction: Tensor
    """The text that each image is explained by, "image joint"."""

    @property
    def readout(self) -> Tensor:
        """What the class token is multiplied with to say how like its text an image is, "image width"."""
        projection = self.visual.proj
        return self.direction if projection is None else self.direction @ projection.detach().T.to(self.last)


@dataclass(slots=True)
class _Kept:
    """What hooks keep on the way, by its name and layer."""

    found: dict[tuple[str, int], Tensor] = field(default_factory=dict)

    def before(self, name: str, layer: int, module: nn.Module, args: tuple[Any, ...]) -> None:
        self.found[name, layer] = args[0]

    def after(self, name: str, layer: int, module: nn.Module, args: Any, output: Tensor) -> None:
        self.found[name, layer] = output


def watch(visual: nn.Module, pixels: Tensor, choose: Choose, *, gradients: bool) -> Seen:
    """Run preprocessed images, "image channel y x", through a vision tower, and keep what went on in it.

    The target whose gradients are kept is the cosine similarity of each image's embedding with the text that
    `choose` gives it. Raises `UnsupportedTower` for a tower that is not one of those that are decomposed.
    """
    tower = refuse_unless_traceable(visual, None)
    weight = tower.conv1.weight
    kept, blocks = _Kept(), blocks_of(tower)
    with ExitStack() as hooks, torch.set_grad_enabled(gradients), torch.inference_mode(False):
        for layer, block in enumerate(blocks):
            watched = {"entering": block, "normed": block.attn, "widening": block.mlp.c_fc}
            for name, module in {**watched, "hidden": block.mlp.c_proj}.items():
                hooks.callback(module.register_forward_pre_hook(partial(kept.before, name, layer)).remove)
            for name, module in {"attended": block.ls_1, "added": block.ls_2}.items():
                hooks.callback(module.register_forward_hook(partial(kept.after, name, layer)).remove)
        hooks.callback(tower.conv1.register_forward_hook(partial(kept.after, "patches", 0)).remove)
        hooks.callback(tower.ln_post.register_forward_hook(partial(kept.after, "last", 0)).remove)
        images = pixels.to(device=weight.device, dtype=weight.dtype, copy=True).requires_grad_(gradients)
        output = tower(images)
        features = _wide(output[0] if isinstance(output, tuple) else output)
        embedding = features / features.norm(dim=-1, keepdim=True)
        direction = choose(embedding.detach()).to(embedding)
        slopes: tuple[Tensor | None, ...] = (None,) * len(blocks)
        if gradients:
            target = (embedding * direction).sum()
            written = [kept.found["attended", layer] for layer in range(len(blocks))]
            slopes = torch.autograd.grad(target, written)
    names = ("entering", "normed", "attended", "widening", "hidden", "added")
    layers = [
        Layer(
            block,
            **{name: _wide(kept.found[name, layer].detach()) for name in names},
            gradient=None if slope is None else _wide(slope),
        )
        for layer, (block, slope) in enumerate(zip(blocks, slopes, strict=True))
    ]
    patches = _wide(kept.found["patches", 0].detach()).flatten(2).transpose(1, 2)
    last = _wide(kept.found["last", 0].detach())
    first = last[:, 0] if last.ndim == 3 else last
    return Seen(tower, layers, patches, first, embedding.detach(), direction)


def _wide(tensor: Tensor) -> Tensor:
    """Bring numbers to float32; those in float64 stay so."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()
