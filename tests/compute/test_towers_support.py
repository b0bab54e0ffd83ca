"""A tower is taken apart exactly, or refused by name, with the reason, before anything is loaded."""

from __future__ import annotations

from typing import Any

import pytest
from torch import nn

from belvedere.compute.towers.native import blocks_of
from belvedere.compute.towers.support import shape_of
from belvedere.compute.towers.vision import vision
from belvedere.store.errors import UnsupportedTower
from tests.compute.naive_tower import tower
from tests.compute.small_towers import CONFIGURATIONS


@pytest.mark.parametrize("name", ["ViT-B-32", "ViT-L-14-336", "xlm-roberta-base-ViT-B-32"])
def test_sizes_are_those_of_the_configuration(name: str) -> None:
    cfg = CONFIGURATIONS[name]
    shape = shape_of(cfg, name)
    assert (shape.layers, shape.joint) == (cfg["vision_cfg"]["layers"], cfg["embed_dim"])
    assert shape.heads * shape.head_dim == shape.width == cfg["vision_cfg"]["width"]
    assert shape.is_plain


def test_a_configuration_without_a_vision_tower_is_refused() -> None:
    with pytest.raises(UnsupportedTower, match="no vision_cfg"):
        shape_of({"embed_dim": 4}, "words only")


@pytest.mark.parametrize(
    ("vision_cfg", "reason"),
    [
        (
            {"timm_model_name": "resnet18", "timm_pool": "avg"},
            "it is timm's ResNet, whose parts are not known",
        ),
        ({"timm_model_name": "vit_of_tomorrow"}, "open_clip cannot build it (RuntimeError"),
        (
            {"timm_model_name": "mixer_s32_224", "timm_proj": "linear", "timm_pool": ""},
            "it is timm's MlpMixer",
        ),
        ({"layers": 2, "width": 16, "tomorrow": 1}, "open_clip cannot build it (TypeError"),
    ],
)
def test_what_open_clip_adds_tomorrow_is_refused_by_name(vision_cfg: dict[str, Any], reason: str) -> None:
    with pytest.raises(UnsupportedTower, match="the vision tower of 'tomorrow' is not supported") as caught:
        shape_of({"embed_dim": 8, "vision_cfg": {"image_size": 224, **vision_cfg}}, "tomorrow")
    assert caught.value.name == "tomorrow"
    assert caught.value.reason.startswith(reason)
    assert "docs/towers.md" in str(caught.value)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"pool_type": "none"}, "it pools by 'none'"),
        (
            {"attentional_pool": "parallel", "attn_pooler_heads": 2},
            "it has two pooling attentions (parallel)",
        ),
        (
            {"attentional_pool": True, "attn_pooler_heads": 2, "pool_type": "avg"},
            "it pools what its attention",
        ),
        ({"scale_attn": True}, "a LayerNorm (scale_attn) stands between the heads and the residual stream"),
        ({"scale_attn_inner": True}, "a LayerNorm over all heads (scale_attn_inner) stands before"),
        ({"scaled_cosine_attn": True}, "its attention compares by cosine (scaled_cosine_attn)"),
        (
            {"qk_norm": True, "pool_type": "avg"},
            "a block is of class CustomResidualAttentionBlock, known only",
        ),
    ],
)
def test_options_that_are_not_known_are_refused(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(UnsupportedTower) as caught:
        vision(tower(**options), "mine")
    assert caught.value.reason.startswith(reason)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda visual: nn.Linear(3, 3), "its class is Linear, whose parts are not known"),
        (
            lambda visual: setattr(visual, "ln_post", nn.Identity()),
            "its last norm is of class Identity, not LayerNorm",
        ),
        (
            lambda visual: setattr(visual.transformer, "resblocks", nn.ModuleList([nn.Identity()])),
            "a block is of class Identity, not one of open_clip's own",
        ),
        (
            lambda visual: setattr(blocks_of(visual)[1], "attn", nn.Identity()),
            "a block's attention is of class Identity",
        ),
        (
            lambda visual: setattr(blocks_of(visual)[0].attn, "batch_first", False),
            "its attention takes tokens before images",
        ),
    ],
)
def test_a_tower_that_was_changed_is_refused(change: Any, reason: str) -> None:
    visual = tower()
    with pytest.raises(UnsupportedTower) as caught:
        vision(change(visual) or visual, "mine")
    assert caught.value.reason.startswith(reason)
    assert caught.value.name == "mine"
