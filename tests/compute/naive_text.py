"""The decomposition of a text tower written out literally, in float64 loops over the raw weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from open_clip.model import CLIP, CustomTextCLIP
from torch import nn

from tests.compute.naive_tower import (
    End,
    Exact,
    Literal,
    attention,
    exact,
    mlp_of,
    norm_of,
    randomise,
    share_out,
)

VISION = {"image_size": 16, "patch_size": 8, "width": 16, "layers": 1, "head_width": 8}
LENGTH, START, END = 9, 40, 41


def model(kind: type[nn.Module] = CLIP, seed: int = 0, **options: Any) -> Any:
    """Build a small model whose every weight is random; the text tower has 3 layers of 4 heads, 6 wide."""
    sizes = {
        "context_length": LENGTH,
        "vocab_size": 42,
        "width": 24,
        "heads": 4,
        "layers": 3,
        "mlp_ratio": 2.0,
    }
    return randomise(kind(10, VISION, sizes | options).eval(), seed)


def sentences(count: int = 3, seed: int = 3, length: int = LENGTH) -> torch.Tensor:
    """Draw texts of different lengths: a start, words, an end (of the largest number), and zeros."""
    dice = np.random.default_rng(seed)
    tokens = np.zeros((count, length), dtype=np.int64)
    for row in tokens:
        words = int(dice.integers(1, length - 2))
        row[0], row[1 : words + 1], row[words + 1] = START, dice.integers(1, START, words), END
    return torch.from_numpy(tokens)


def decompose(net: Any, tokens: torch.Tensor, convention: str) -> Literal:
    """Decompose each text by the paper's formulas, one token of one head at a time."""
    rows = [_one(net, row, convention) for row in tokens]
    return Literal(
        tokens=np.stack([row.tokens for row in rows]),
        mlps=np.stack([row.mlps for row in rows]),
        residual={name: np.stack([row.residual[name] for row in rows]) for name in rows[0].residual},
        embedding=np.stack([row.embedding for row in rows]),
    )


def _one(net: Any, tokens: torch.Tensor, convention: str) -> Literal:
    tower = net.text if isinstance(net, CustomTextCLIP) else net
    words = [exact(tower.token_embedding.weight)[int(token)] for token in tokens]
    if getattr(tower, "cls_emb", None) is not None:
        words.append(exact(tower.cls_emb))
    stream = np.stack(words) + exact(tower.positional_embedding)
    place, hidden = _place(tower, tokens), _hidden(tower, tokens)
    entry, written, biases, mlps = stream[place].copy(), [], [], []
    for block in tower.transformer.resblocks:
        heads, bias = attention(block, norm_of(block.ln_1, stream), hidden)
        stream = stream + heads.sum((1, 2)) + bias
        written.append(heads[place])
        biases.append(bias)
        mlp = np.stack([mlp_of(block, token) for token in stream])
        stream = stream + mlp
        mlps.append(mlp[place])
    last, end = stream[place], _end(tower)
    return share_out(end, last, entry, np.stack(written), np.stack(biases), mlps, convention)


def _end(tower: Any) -> End:
    projection = tower.text_projection
    if projection is None:
        return End(tower.ln_final, np.eye(tower.positional_embedding.shape[1]), {}, "ln_final_bias")
    if not isinstance(projection, nn.Linear):
        return End(tower.ln_final, exact(projection), {}, "ln_final_bias")
    bias = {"projection_bias": exact(projection.bias)}
    return End(tower.ln_final, exact(projection.weight).T, bias, "ln_final_bias")


def _place(tower: Any, tokens: torch.Tensor) -> int:
    """Find the position that is pooled."""
    pool = getattr(tower, "text_pool_type", None) or tower.pool_type
    if getattr(tower, "cls_emb", None) is not None:
        return len(tokens)
    found = {"first": 0, "last": len(tokens) - 1}
    return found[pool] if pool in found else tokens.tolist().index(END)


def _hidden(tower: Any, tokens: torch.Tensor) -> Exact:
    """Say what each token may look at: itself and those before it; where there is no mask, at all."""
    count = len(tokens) + (getattr(tower, "cls_emb", None) is not None)
    hidden = np.zeros((count, count))
    for query in range(count):
        for token in range(count):
            later = tower.attn_mask is not None and token > query
            padded = count > len(tokens) and token > 0 and tokens[token - 1] == 0  # as open_clip has it
            hidden[query, token] = -np.inf if later or padded else 0
    return hidden
