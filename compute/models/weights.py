"""Digests of weights, whatever file or library they came from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import torch
from torch import Tensor

from ...store import digest


def weights_digest(state: Iterable[tuple[str, Tensor]]) -> str:
    """Give the SHA-256 of named tensors: each name, data type, shape and little-endian bytes, sorted."""
    total = hashlib.sha256()
    for name, tensor in sorted(state, key=lambda item: item[0]):
        kept = tensor.detach().cpu().contiguous()
        kind = str(kept.dtype).removeprefix("torch.")
        total.update(digest.canonical([name, kind, list(kept.shape)]))
        total.update(kept.reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()
