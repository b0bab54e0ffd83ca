"""Which vision towers are decomposed: decided from an open_clip configuration alone, or from a module."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...store.errors import UnsupportedTower
from ...store.sets import TowerShape

if TYPE_CHECKING:
    from torch import nn

_DEFAULTS: dict[str, Any] = {
    "layers": 12,
    "width": 768,
    "head_width": 64,
    "patch_size": 16,
    "image_size": 224,
}

_REFUSED_OPTIONS = {
    "scaled_cosine_attn": "its attention compares by cosine (scaled_cosine_attn), which open_clip cannot run",
    "scale_attn_inner": "a LayerNorm over all heads (scale_attn_inner) stands before their output projection",
    "scale_attn": "a LayerNorm (scale_attn) stands between the heads and the residual stream",
}


def refuse_unless_supported(tower: Mapping[str, Any] | nn.Module, name: str | None = None) -> None:
    """Raise `UnsupportedTower`, with the reason, unless this tower can be decomposed exactly.

    `tower` is an open_clip model configuration (a mapping with `vision_cfg`; no weights, no torch), or the
    vision tower itself, `model.visual`. `name` is what the error calls it.
    """
    if isinstance(tower, Mapping):
        reason = why_unsupported(tower)
    else:
        from .native import why_module_unsupported

        reason = why_module_unsupported(tower)
    if reason is not None:
        raise UnsupportedTower(name or type(tower).__name__, reason)


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
    return next((reason for option, reason in _REFUSED_OPTIONS.items() if vision.get(option)), None)


def shape_of(model_cfg: Mapping[str, Any]) -> TowerShape:
    """Read a supported tower's shape from its open_clip configuration, before any weights are there."""
    vision = _DEFAULTS | dict(model_cfg["vision_cfg"])
    (height, width), (patch_height, patch_width) = _pair(vision["image_size"]), _pair(vision["patch_size"])
    heads = vision["width"] // vision["head_width"]
    return TowerShape(
        layers=vision["layers"],
        heads=heads,
        head_dim=vision["width"] // heads,
        width=vision["width"],
        joint=model_cfg["embed_dim"],
        tokens=1 + (height // patch_height) * (width // patch_width),
    )


def _pair(size: int | list[int] | tuple[int, int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (size[0], size[1])
