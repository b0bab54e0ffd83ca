"""Which vision towers are decomposed, decided from an open_clip configuration alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...store.errors import UnsupportedTower

REFUSED_OPTIONS = {
    "scaled_cosine_attn": "its attention compares by cosine (scaled_cosine_attn), which open_clip cannot run",
    "scale_attn_inner": "a LayerNorm over all heads (scale_attn_inner) stands before their output projection",
    "scale_attn": "a LayerNorm (scale_attn) stands between the heads and the residual stream",
}


def refuse_unless_supported(model_cfg: Mapping[str, Any], name: str) -> None:
    """Raise `UnsupportedTower`, with the reason, unless the vision tower of a model is decomposed exactly.

    `model_cfg` is an open_clip configuration (a mapping with `vision_cfg`), so neither weights nor torch are
    asked for; `towers.native` asks the modules once they are there. `name` is what the error calls it.
    """
    if reason := why_unsupported(model_cfg):
        raise UnsupportedTower(name, reason)


def why_unsupported(model_cfg: Mapping[str, Any]) -> str | None:
    """Say why the vision tower of an open_clip configuration is not decomposed; None where it is.

    >>> why_unsupported({"embed_dim": 512, "vision_cfg": {"layers": 12, "width": 768}})
    >>> why_unsupported({"embed_dim": 512, "vision_cfg": {"layers": [3, 4, 6, 3], "width": 64}})
    'it is a ResNet, which has no heads on a residual stream of tokens'
    """
    vision = model_cfg.get("vision_cfg")
    if not isinstance(vision, Mapping):
        return "its configuration has no vision_cfg"
    if vision.get("timm_model_name"):
        return f"it is timm's {vision['timm_model_name']}, not open_clip's VisionTransformer"
    if isinstance(vision.get("layers"), list | tuple):
        return "it is a ResNet, which has no heads on a residual stream of tokens"
    if vision.get("attentional_pool"):
        return "it pools by attention (attentional_pool), not by its class token"
    if (pool := vision.get("pool_type", "tok")) != "tok":
        return f"it pools its patch tokens (pool_type={pool!r}), not its class token"
    return next((reason for option, reason in REFUSED_OPTIONS.items() if vision.get(option)), None)
