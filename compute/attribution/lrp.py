"""Layer-wise relevance propagation: Bach et al. (PLoS ONE 2015), in a transformer as Binder et al. (2016).

Relevance goes back from the similarity with the text through all layers to the patches, by the rules in
`relprop.py`, with which Chefer, Gur and Wolf (CVPR 2021, section 4) compare. At the entry it is shared
between what a patch's pixels give and its position, whose share is left out. They go on to single pixels;
here the relevance of a patch is kept whole, the sum over its pixels: all methods give maps of patches.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .relprop import add, backwards
from .watching import Seen


def relevance(seen: Seen) -> Tensor:
    """Give the relevance of the pixels of each patch, "image patch"."""
    *_, first = backwards(seen, scaled=False)
    there = seen.patches
    positions = seen.visual.positional_embedding.detach().to(there)
    token = seen.visual.class_embedding.detach().to(there).expand(len(there), 1, -1)
    stream = torch.cat([token, there], dim=1)
    pixels, _ = add(stream, positions.expand_as(stream), first.entering, scaled=False)
    return pixels[:, 1:].sum(dim=-1)
