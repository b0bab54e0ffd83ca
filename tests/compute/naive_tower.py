"""The paper's decomposition written out literally, in float64 loops over the raw weights of a small tower."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from open_clip.transformer import LayerScale, QuickGELU, VisionTransformer
from torch import nn

Exact = npt.NDArray[np.float64]


def tower(seed: int = 0, **options: Any) -> VisionTransformer:
    """Build a small tower whose every weight, bias and norm is random, and whose heads are 6 wide."""
    sizes = {"image_size": (12, 8), "patch_size": 4, "width": 24, "layers": 3, "heads": 4, "mlp_ratio": 2.0}
    return randomise(VisionTransformer(**(sizes | {"output_dim": 10} | options)).eval(), seed)


def randomise(model: nn.Module, seed: int) -> Any:
    """Draw all parameters anew, biases and norms included, with means other than zero."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.ndim >= 2 and "embedding" not in name and not name.endswith("proj"):
                parameter.copy_((noise + 0.1) / math.sqrt(parameter[0].numel()))
            elif name.endswith("proj"):
                parameter.copy_(noise / math.sqrt(parameter.shape[0]))
            elif name.endswith(("weight", "gamma", "head_scale")):
                parameter.copy_(1 + 0.3 * noise)
            else:
                parameter.copy_(0.2 + 0.4 * noise)
    return model


def photos(visual: VisionTransformer, count: int = 3, seed: int = 5) -> torch.Tensor:
    """Draw images of the size that the tower takes."""
    return torch.randn((count, 3, *visual.image_size), generator=torch.Generator().manual_seed(seed)) + 0.3


@dataclass
class Literal:
    """Every term of every image, under one convention."""

    tokens: Exact  # image layer head token joint
    mlps: Exact  # image layer joint
    residual: dict[str, Exact]  # each image joint
    embedding: Exact  # image joint

    @property
    def total(self) -> Exact:
        total: Exact = self.tokens.sum((1, 2, 3)) + self.mlps.sum(1) + sum(self.residual.values())
        return total


def decompose(visual: VisionTransformer, images: torch.Tensor, convention: str) -> Literal:
    """Decompose each image by the paper's formulas, one token of one head at a time."""
    rows = [_one(visual, image, convention) for image in exact(images)]
    return Literal(
        tokens=np.stack([row.tokens for row in rows]),
        mlps=np.stack([row.mlps for row in rows]),
        residual={name: np.stack([row.residual[name] for row in rows]) for name in rows[0].residual},
        embedding=np.stack([row.embedding for row in rows]),
    )


def _one(visual: VisionTransformer, image: Exact, convention: str) -> Literal:
    stream = enter(visual, image)
    entry, written, biases, mlps = stream[0].copy(), [], [], []
    for block in visual.transformer.resblocks:
        heads, bias = attention(block, norm_of(block.ln_1, stream))
        stream = stream + heads.sum((1, 2)) + bias
        written.append(heads[0])
        biases.append(bias)
        mlp = np.stack([mlp_of(block, token) for token in stream])
        stream = stream + mlp
        mlps.append(mlp[0])
    width = len(stream[0])
    end = End(visual.ln_post, np.eye(width) if visual.proj is None else exact(visual.proj), {})
    return share_out(end, stream[0], entry, np.stack(written), np.stack(biases), mlps, convention)


@dataclass
class End:
    """How a tower ends."""

    norm: Any
    P: Exact
    bias: dict[str, Exact]  # the projection's own, by the name of its term; none where it has none
    name: str = "ln_post_bias"


def share_out(
    end: End,
    last: Exact,
    entry: Exact,
    written: Exact,
    biases: Exact,
    mlps: list[Exact],
    convention: str,
) -> Literal:
    g, b, P = exact(end.norm.weight), exact(end.norm.bias), end.P
    more = sum(end.bias.values(), np.zeros(P.shape[1]))
    mu, sigma = last.mean(), math.sqrt(last.var() + end.norm.eps)
    output = ((last - mu) / sigma * g + b) @ P + more
    n = np.linalg.norm(output)
    layers, heads, tokens, _ = written.shape
    T = 2 * layers + 1

    def own(x: Exact) -> Exact:
        term: Exact = ((x - x.mean()) * g / sigma) @ P / n
        return term

    def clip_prs(x: Exact, share: int) -> Exact:
        term: Exact = (((x - mu / share) * g / sigma + b / share) @ P + more / share) / n
        return term

    c = np.zeros((layers, heads, tokens, P.shape[1]))
    for layer, head, token in np.ndindex(layers, heads, tokens):
        x = written[layer, head, token]
        if convention == "own":
            c[layer, head, token] = own(x)
        else:
            c[layer, head, token] = clip_prs(x + biases[layer] / (tokens * heads), T * tokens * heads)
    if convention == "own":
        constants = {f"attn_bias[{layer}]": own(bias) for layer, bias in enumerate(biases)}
        residual = {"embedding": own(entry), **constants, end.name: b @ P / n}
        residual |= {name: bias / n for name, bias in end.bias.items()}
        return Literal(c, np.stack([own(y) for y in mlps]), residual, output / n)
    return Literal(c, np.stack([clip_prs(y, T) for y in mlps]), {"embedding": clip_prs(entry, T)}, output / n)


def enter(visual: VisionTransformer, image: Exact) -> Exact:
    """Give the tokens of an image as they enter the first block, "token width"."""
    kernel = exact(visual.conv1.weight)
    height, width = visual.patch_size
    tokens = [exact(visual.class_embedding)]
    for y, x in np.ndindex(*visual.grid_size):
        patch = image[:, y * height : (y + 1) * height, x * width : (x + 1) * width]
        tokens.append((kernel * patch).sum((1, 2, 3)))
    stream = np.stack(tokens) + exact(visual.positional_embedding)
    return norm_of(visual.ln_pre, stream)


def attention(block: nn.Module, z: Exact, hidden: Exact | None = None) -> tuple[Exact, Exact]:
    """Give what each head writes for each query from each token, "query head token width", and the bias.

    `hidden` is added to the scores, "query token": minus infinity where a query may not look.
    """
    attention: Any = block.attn
    W_q, W_k, W_v = np.split(exact(attention.in_proj_weight), 3)
    b_q, b_k, b_v = np.split(exact(attention.in_proj_bias), 3)
    W_O, b_O = exact(attention.out_proj.weight), exact(attention.out_proj.bias)
    size, dim, count = z.shape[1], attention.head_dim, attention.num_heads
    gamma = exact(block.ls_1.gamma) if isinstance(block.ls_1, LayerScale) else np.ones(size)
    scales = exact(attention.head_scale).ravel() if hasattr(attention, "head_scale") else np.ones(count)
    written = np.zeros((len(z), count, len(z), size))
    for head in range(count):
        mine = slice(head * dim, (head + 1) * dim)
        q, k, v = z @ W_q[mine].T + b_q[mine], z @ W_k[mine].T + b_k[mine], z @ W_v[mine].T + b_v[mine]
        if hasattr(attention, "ln_q"):
            q, k = norm_of(attention.ln_q, q), norm_of(attention.ln_k, k)
        for query in range(len(z)):
            weights = np.exp(k @ q[query] / math.sqrt(dim) + (0 if hidden is None else hidden[query]))
            alpha = weights / weights.sum()
            for token in range(len(z)):
                x = W_O[:, mine] @ (scales[head] * alpha[token] * v[token])
                written[query, head, token] = gamma * x
    return written, gamma * b_O


def hidden_of(block: Any, token: Exact) -> Exact:
    """Give the neurons of a block's MLP at one token."""
    layers = block.mlp
    hidden = exact(layers.c_fc.weight) @ norm_of(block.ln_2, token) + exact(layers.c_fc.bias)
    if isinstance(layers.gelu, QuickGELU):
        hidden = hidden / (1 + np.exp(-1.702 * hidden))
    else:
        hidden = np.array([h * 0.5 * (1 + math.erf(h / math.sqrt(2))) for h in hidden])
    if hasattr(layers, "ln"):
        hidden = norm_of(layers.ln, hidden)
    return hidden


def mlp_of(block: Any, token: Exact) -> Exact:
    """Give what a block's MLP writes at one token."""
    layers, hidden = block.mlp, hidden_of(block, token)
    output = exact(layers.c_proj.weight) @ hidden + exact(layers.c_proj.bias)
    return output * exact(block.ls_2.gamma) if isinstance(block.ls_2, LayerScale) else output


def norm_of(norm: Any, x: Exact) -> Exact:
    if isinstance(norm, nn.Identity):
        return x
    mean, var = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    normed: Exact = (x - mean) / np.sqrt(var + norm.eps) * exact(norm.weight) + exact(norm.bias)
    return normed


def exact(tensor: torch.Tensor) -> Exact:
    """Give a tensor's values in float64."""
    values: Exact = tensor.detach().double().numpy()
    return values
