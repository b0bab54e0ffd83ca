"""Which text towers are decomposed, and their sizes, decided from what is kept of a model alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...store.errors import NoTextTower, UnsupportedTower
from ...store.sets import Model, TowerShape

_REFUSED = {
    "scaled_cosine_attn": "its attention compares by cosine (scaled_cosine_attn), which open_clip cannot run",
    "scale_attn_inner": "a LayerNorm over all heads (scale_attn_inner) stands before their output projection",
    "scale_attn": "a LayerNorm (scale_attn) stands between the heads and the residual stream",
}
_SIZES = {"layers": 12, "heads": 8, "width": 512, "context_length": 77}
"""What open_clip takes where a configuration does not say."""
_POOLS = ("first", "last", "argmax", "eos")


def text_shape(model: Model) -> TowerShape:
    """Give the sizes of a model's text tower; neither weights nor torch are asked for.

    Raises `NoTextTower` for a model without one, and `UnsupportedTower`, with the reason, for one that is
    not decomposed exactly; `towers.text` asks the modules once they are there.
    """
    if not model.text:
        raise NoTextTower(model.name, model.source)
    facts: Mapping[str, Any] = model.text.get("architecture", {})
    config = facts.get("text_cfg")
    if not isinstance(config, Mapping):
        raise UnsupportedTower(model.name, f"it is not open_clip's ({model.source})", side="text")
    if reason := why_unsupported(config):
        raise UnsupportedTower(model.name, reason, side="text")
    layers, heads, width, tokens = (int(config.get(name, usual)) for name, usual in _SIZES.items())
    projected = config.get("proj_type", "linear") != "none" and facts["embed_dim"]
    return TowerShape(
        layers=layers,
        heads=heads,
        head_dim=width // heads,
        width=width,
        joint=int(facts["embed_dim"]) if projected else width,
        tokens=tokens + bool(config.get("embed_cls")),
        varying=("embedding",),
    )


def has_projection_bias(model: Model) -> bool:
    """Tell whether the projection of a text tower that is decomposed adds a bias of its own."""
    config = model.text["architecture"]["text_cfg"]
    return bool(config.get("proj_bias")) and config.get("proj_type", "linear") != "none"


def why_unsupported(config: Mapping[str, Any]) -> str | None:
    """Say why the text tower of an open_clip `text_cfg` is not decomposed; None where it is.

    >>> why_unsupported({"context_length": 77, "width": 512, "heads": 8, "layers": 12})
    >>> why_unsupported({"hf_model_name": "roberta-base"})
    "it is transformers' roberta-base, not open_clip's TextTransformer"
    """
    if config.get("hf_model_name"):
        return f"it is transformers' {config['hf_model_name']}, not open_clip's TextTransformer"
    if not config.get("embed_cls") and (pool := config.get("pool_type", "argmax")) not in _POOLS:
        return f"it pools no one token (pool_type={pool!r})"
    return next((reason for option, reason in _REFUSED.items() if config.get(option)), None)
