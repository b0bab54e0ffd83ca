"""Vision towers, whatever their family: which file takes one apart, or why none does."""

from __future__ import annotations

from typing import Any, cast

from open_clip.modified_resnet import ModifiedResNet
from open_clip.timm_model import TimmModel
from open_clip.transformer import VisionTransformer
from torch import nn

from ...store.errors import UnsupportedTower
from . import hf_blocks, maps, native, pooled, resnet, timm_blocks
from .tower import Tower, running


def vision(visual: nn.Module, name: str | None = None) -> Tower:
    """Take a vision tower to be taken apart: open_clip's, or a model of timm's or transformers'.

    Raises `UnsupportedTower`, with the reason, under this name, or that of its class where there is none.
    """
    called = name or type(visual).__name__
    if isinstance(visual, VisionTransformer):
        plain = visual.attn_pool is None and visual.pool_type == "tok"
        return native.vision(visual, name) if plain else pooled.take(visual, called)
    if isinstance(visual, ModifiedResNet):
        return resnet.take(visual)
    if isinstance(visual, TimmModel):
        trunk = cast(nn.Module, visual.trunk)
        projection = _projection(visual, called)
        return _of_timm(trunk, called, projection, visual)
    if type(visual).__name__ in hf_blocks.KNOWN:
        return hf_blocks.take(visual, called)
    if type(visual) in (*timm_blocks.TRUNKS, *maps.TRUNKS):
        return _of_timm(visual, called, None, visual)
    raise UnsupportedTower(called, f"its class is {type(visual).__name__}, whose parts are not known")


def _projection(visual: Any, name: str) -> nn.Linear | None:
    """Give the projection behind a trunk; None where the trunk's own head is it."""
    for part, module in visual.head.named_children():
        if part == "proj" and isinstance(module, nn.Linear):
            return module
        if not isinstance(module, nn.Dropout):
            kind = type(module).__name__
            what = f"an MLP ({kind})" if "Mlp" in kind else f"a module of class {kind}"
            raise UnsupportedTower(name, f"its embedding comes out of {what}, which is not linear")
    return None


def _of_timm(trunk: nn.Module, name: str, projection: nn.Linear | None, module: nn.Module) -> Tower:
    run = running(module, next(module.parameters()))
    if type(trunk) in maps.TRUNKS:
        size = getattr(module, "image_size", None) or cast(Any, trunk).pretrained_cfg["input_size"][1:]
        return maps.take(trunk, name, projection, module, run, tuple(size))
    return timm_blocks.take(trunk, name, projection, module, run)
