"""Attention rollout: Abnar and Zuidema, "Quantifying Attention Flow in Transformers" (ACL 2020).

Heads are averaged in each layer, the identity is added for the residual stream, rows are brought to sum to 1,
and the matrices of all layers are multiplied; the code that Chefer, Gur and Wolf published with their
comparison leaves the first layer out. It looks at no text: every class has the same map.
"""

from __future__ import annotations

from torch import Tensor

from .attention_flow import flow
from .watching import Seen


def relevance(seen: Seen) -> Tensor:
    """Give the class token's row of the product, "image patch"."""
    return flow((layer.attention.mean(dim=1) for layer in seen.layers), shares=True)
