"""Each configuration of open_clip as a small tower: its own classes, with few and thin blocks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import open_clip
import open_clip.timm_model
import timm
import torch
from open_clip.model import _build_vision_tower
from timm.models.vitamin import VitCfg, VitConvCfg
from torch import nn

HEADS = 2
CONFIGURATIONS: dict[str, dict[str, Any]] = {
    name: open_clip.get_model_config(name) for name in open_clip.list_models()
}


def small(name: str, seed: int = 0) -> nn.Module:
    """Build the vision tower of a configuration in evaluation mode, all of its weights random."""
    config = CONFIGURATIONS[name]
    vision = {**config["vision_cfg"], "timm_model_pretrained": False}
    torch.manual_seed(seed)
    with thin_trunks():
        visual = _build_vision_tower(_joint(vision), _thin(vision), bool(config.get("quick_gelu")))
    return randomised(visual.eval())


def randomised(net: nn.Module) -> nn.Module:
    """Move all parameters, and the statistics of batch norms, away from zeros and ones."""
    with torch.no_grad():
        for parameter in net.parameters():
            wide = parameter.ndim >= 2
            noise = torch.randn_like(parameter)
            parameter.add_(noise * (0.02 if wide else 0.1))
        for key, buffer in net.named_buffers():
            if key.endswith("running_mean"):
                buffer.add_(torch.randn_like(buffer) * 0.1)
    return net


def key_of(name: str) -> str:
    """Give what configurations have in common that are the same once they are thin."""
    vision = CONFIGURATIONS[name]["vision_cfg"]
    return json.dumps([_thin(vision), _family(vision)], sort_keys=True)


def pixels(name: str, count: int = 2, seed: int = 3) -> torch.Tensor:
    """Draw images of the size that a configuration takes."""
    size = CONFIGURATIONS[name]["vision_cfg"].get("image_size", 224)
    rows, columns = (size, size) if isinstance(size, int) else size
    return torch.randn((count, 3, rows, columns), generator=torch.Generator().manual_seed(seed)) + 0.2


def _joint(vision: dict[str, Any]) -> int:
    return 96 if vision.get("timm_proj") != "none" else 0


def _family(vision: dict[str, Any]) -> str:
    """Give timm's name without what only says how large its pictures and its trunk are."""
    name = str(vision.get("timm_model_name", ""))
    small_words = {
        "base",
        "large",
        "so400m",
        "giantopt",
        "tiny",
        "small",
        "gigantic",
        "xlarge",
        "large2",
        "xxlarge",
    }
    return "_".join(word for word in name.split("_") if word not in small_words and not word.isdigit())


def _thin(vision: dict[str, Any]) -> dict[str, Any]:
    if vision.get("timm_model_name"):
        return dict(vision)
    if isinstance(vision["layers"], list):
        return {**vision, "layers": [1, 1, 1, 1], "width": 16}
    return {**vision, "layers": 2, "width": HEADS * vision.get("head_width", 64)}


@contextmanager
def thin_trunks() -> Iterator[None]:
    """Let open_clip's `TimmModel` make its trunks with few and thin blocks meanwhile."""
    whole = timm.create_model

    def create_model(name: str, **options: Any) -> Any:
        return whole(name, **{**options, **_options(name)})

    open_clip.timm_model.timm.create_model = create_model
    try:
        yield
    finally:
        open_clip.timm_model.timm.create_model = whole


def _options(name: str) -> dict[str, Any]:
    if name.startswith("convnext"):
        return {"depths": (1, 1, 1, 1), "dims": (16, 32, 64, 128)}
    if name.startswith("swin"):
        return {"depths": (1, 1, 2, 2), "embed_dim": 16, "num_heads": (1, 2, 2, 4)}
    if name.startswith("fastvit"):
        stages = 5 if name.endswith(("mci3", "mci4")) else 4
        return {"layers": (1,) * stages, "embed_dims": tuple(32 * 2**each for each in range(stages))}
    head_dim = {"so400m": 72, "giantopt": 96, "enormous": 112, "eva_giant": 88}
    width = HEADS * next((size for word, size in head_dim.items() if word in name), 64)
    if "mci" in name:  # its convolutions before the blocks are as wide as the blocks must be
        return {"depth": 2}
    thin = {"depth": 2, "embed_dim": width, "num_heads": HEADS}
    if not name.startswith("vitamin"):
        return thin
    conv = VitConvCfg(norm_layer="layernorm2d", norm_eps=1e-6)
    stem = VitCfg(embed_dim=(16, 32, width), depths=(1, 1, 1), stem_width=16, conv_cfg=conv, head_type="1d")
    return {**thin, "embed_cfg": stem}
