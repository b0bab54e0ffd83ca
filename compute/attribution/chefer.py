"""Chefer, Gur and Wolf, "Transformer Interpretability Beyond Attention Visualization" (CVPR 2021).

In each layer the relevance of the attention weights (by the rules in `relprop.py`) is multiplied by the
target's gradient with respect to them, what is negative is cut off, heads are averaged, the identity is added
for the residual stream, and the layers are multiplied (section 3.3). All layers count but the first, as in
the segmentation that they publish; a tower of one layer has that. The target is the cosine similarity of the
image's embedding with the text, its norm included in the gradient; relevance starts at the unnormalised
product, since the norm is no layer to pass through.
"""

from __future__ import annotations

from torch import Tensor

from .attention_flow import flow
from .relprop import backwards
from .watching import Seen


def relevance(seen: Seen) -> Tensor:
    """Give the class token's row of the product, "image patch"."""
    mixed = [
        (layer.attention_gradient * passed.attention).clamp(min=0).mean(dim=1)
        for layer, passed in zip(reversed(seen.layers), backwards(seen, scaled=True), strict=True)
    ]
    return flow(mixed[::-1][1:] or mixed, shares=False)
