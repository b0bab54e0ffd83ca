"""What flows from layer to layer, multiplied through all of them with the residual stream."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor


def flow(layers: Iterable[Tensor], *, shares: bool) -> Tensor:
    """Multiply matrices "image query token", the first layer's first, and give what the class token has.

    To each the identity is added for the residual stream; with `shares` rows are then brought to sum to 1, as
    Abnar and Zuidema, "Quantifying Attention Flow in Transformers" (ACL 2020), do. The answer is "image
    patch".
    """
    total: Tensor | None = None
    for each in layers:
        mixed = each + torch.eye(each.shape[-1], dtype=each.dtype, device=each.device)
        if shares:
            mixed = mixed / mixed.sum(dim=-1, keepdim=True)
        total = mixed if total is None else mixed @ total
    if total is None:
        raise ValueError("attention flows through one layer at least")
    return total[:, 0, 1:]
