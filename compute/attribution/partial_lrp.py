"""Partial LRP: the relevance of the last layer's attention; Voita et al. (ACL 2019).

"Analyzing Multi-Head Self-Attention: Specialized Heads Do the Heavy Lifting, the Rest Can Be Pruned" passes
relevance back only as far as the attention of a layer. As Chefer, Gur and Wolf (CVPR 2021, section 4) compare
with it, that is the last layer, what is negative is cut off, and heads are averaged.
"""

from __future__ import annotations

from torch import Tensor

from .relprop import backwards
from .watching import Seen


def relevance(seen: Seen) -> Tensor:
    """Give the relevance of the class token's attention to each patch in the last layer, "image patch"."""
    last = next(backwards(seen, scaled=False))
    return last.attention.clamp(min=0).mean(dim=1)[:, 0, 1:]
