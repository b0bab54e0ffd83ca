"""Grad-CAM: Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks" (ICCV 2017).

The feature maps are the class token's attention to the patches in the last layer, one map a head, as Chefer,
Gur and Wolf (CVPR 2021, section 4) take them for a vision transformer: each is weighted by the mean over
patches of the target's gradient with respect to it, and what is negative in their mean is cut off. The target
is the cosine similarity of the image's embedding with the text.
"""

from __future__ import annotations

from torch import Tensor

from .watching import Seen


def relevance(seen: Seen) -> Tensor:
    """Give the weighted attention, "image patch"."""
    last = seen.layers[-1]
    maps, slopes = last.attention[:, :, 0, 1:], last.attention_gradient[:, :, 0, 1:]
    return (maps * slopes.mean(dim=-1, keepdim=True)).mean(dim=1).clamp(min=0)
