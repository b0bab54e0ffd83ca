"""Raw attention: how much the class token attends to each patch in the last layer, averaged over heads.

As compared with by Chefer, Gur and Wolf, "Transformer Interpretability Beyond Attention Visualization" (CVPR
2021, section 4). It looks at no text: every class has the same map.
"""

from __future__ import annotations

from torch import Tensor

from .watching import Seen


def relevance(seen: Seen) -> Tensor:
    """Give the class token's attention in the last layer, "image patch"."""
    return seen.layers[-1].attention[:, :, 0, 1:].mean(dim=1)
