"""How much of a square picture a model's preprocessing lets through, by the facts that are known of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..store.errors import UnknownPreprocessing
from ..store.sets import Model


def seen_share(model: Model) -> float:
    """Give the side of the middle part that a model sees, as a share of the picture's side.

    open_clip shows a square picture whole, timm its middle (`crop_pct`), torchvision that of size `crop_size`
    of one brought to `resize_size`, transformers either the whole or a cut, as its processor's configuration
    says. What a preprocessing of one's own does is not known, and it is taken to show the whole. Raises
    `UnknownPreprocessing` for preprocessing that says none of this.
    """
    facts: Mapping[str, Any] = model.image["preprocessing"]
    processor = facts.get("preprocessor_config") or facts.get("processor_config", {}).get("image_processor")
    if "crop_pct" in facts:
        share = float(facts["crop_pct"])
    elif "resize_size" in facts:
        share = facts["crop_size"][0] / facts["resize_size"][0]
    elif "resize_mode" in facts or "transform_id" in facts:
        share = 1.0
    elif processor and processor.get("do_resize", True) and "size" in processor and not _is_odd(processor):
        share = _share_of(processor)
    else:
        raise _unknown(model, f"its preprocessing has {', '.join(sorted(facts)) or 'nothing'}")
    if not 0 < share <= 1:
        raise _unknown(model, f"it lets {share:.0%} of a picture's side through, and masks end there")
    return share


def _unknown(model: Model, why: str) -> UnknownPreprocessing:
    return UnknownPreprocessing(f"what part of a picture {model.name!r} sees is not known: {why}")


def _is_odd(processor: Mapping[str, Any]) -> bool:
    """Tell whether it resizes to another size than it says, as that of LeViT does."""
    return str(processor.get("image_processor_type", "")).startswith("Levit")


def _share_of(processor: Mapping[str, Any]) -> float:
    """Read the configuration of an image processor of transformers, which resizes, and then may cut."""
    side = _shorter(processor["size"])
    if processor.get("crop_pct") is not None:  # ConvNeXt's cuts pictures below 384 pixels only
        return float(processor["crop_pct"]) if side < 384 else 1.0
    if processor.get("do_center_crop") and "crop_size" in processor:
        return _shorter(processor["crop_size"]) / side
    return 1.0


def _shorter(size: int | Mapping[str, int]) -> int:
    return size if isinstance(size, int) else min(size.values())


def middle(masks: NDArray[np.bool_], share: float) -> NDArray[np.bool_]:
    """Cut masks "… y x" to the middle part of a share of their sides, to the nearest pixel."""
    height, width = masks.shape[-2:]
    top, left = (round(side * (1 - share) / 2) for side in (height, width))
    return masks[..., top : height - top, left : width - left]
