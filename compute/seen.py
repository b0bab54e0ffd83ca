"""How much of a square picture a model's preprocessing lets through, by the facts that are known of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..store.errors import BadSource


def seen_share(preprocessing: Mapping[str, Any]) -> float:
    """Give the side of the middle part that a model sees, as a share of the picture's side.

    open_clip shows a square picture whole, timm its middle (`crop_pct`), torchvision that of size `crop_size`
    of one brought to `resize_size`. What a preprocessing of one's own does is not known, and it is taken to
    show the whole. Raises `BadSource` for preprocessing that says none of this.
    """
    if "crop_pct" in preprocessing:
        share = float(preprocessing["crop_pct"])
    elif "resize_size" in preprocessing:
        share = preprocessing["crop_size"][0] / preprocessing["resize_size"][0]
    elif "resize_mode" in preprocessing or "transform_id" in preprocessing:
        share = 1.0
    else:
        listed = ", ".join(sorted(preprocessing))
        raise BadSource(f"what part of a picture the preprocessing shows is not known: it has {listed}")
    if not 0 < share <= 1:
        raise BadSource(
            f"the preprocessing lets {share:.0%} of a picture's side through, and masks end there"
        )
    return share


def middle(masks: NDArray[np.bool_], share: float) -> NDArray[np.bool_]:
    """Cut masks "… y x" to the middle part of a share of their sides, to the nearest pixel."""
    height, width = masks.shape[-2:]
    top, left = (round(side * (1 - share) / 2) for side in (height, width))
    return masks[..., top : height - top, left : width - left]
