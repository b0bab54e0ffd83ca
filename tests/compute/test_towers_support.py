"""Every configuration that open_clip ships is either decomposed or refused by name, with the reason."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from typing import Any

import open_clip
import pytest
import torch
from open_clip.model import _build_vision_tower
from torch import nn

from belvedere.compute.towers.native import describe, refuse_unless_traceable
from belvedere.compute.towers.support import refuse_unless_supported, why_unsupported
from belvedere.compute.towers.vision import vision
from belvedere.store.errors import UnsupportedTower
from tests.compute.naive_tower import tower

CONFIGURATIONS: dict[str, dict[str, Any]] = {
    name: open_clip.get_model_config(name) for name in open_clip.list_models()
}
SUPPORTED = sorted(name for name, cfg in CONFIGURATIONS.items() if why_unsupported(cfg) is None)


def test_of_open_clips_144_configurations_48_are_decomposed() -> None:
    kinds = {
        "it is timm's": "timm",
        "it is a ResNet": "resnet",
        "it pools by attention": "attention pool",
        "it pools its patch tokens": "average pool",
    }
    reasons = [why_unsupported(cfg) for cfg in CONFIGURATIONS.values()]
    census = Counter(
        "supported"
        if reason is None
        else next(kind for text, kind in kinds.items() if reason.startswith(text))
        for reason in reasons
    )
    assert census == {"supported": 48, "timm": 78, "resnet": 10, "average pool": 6, "attention pool": 2}


@pytest.mark.parametrize("name", SUPPORTED)
def test_the_modules_of_a_supported_configuration_are_traceable(name: str) -> None:
    cfg = CONFIGURATIONS[name]
    with torch.device("meta"):
        visual = _build_vision_tower(cfg["embed_dim"], cfg["vision_cfg"])
    shape = describe(refuse_unless_traceable(visual, name))
    assert (shape.layers, shape.joint) == (cfg["vision_cfg"]["layers"], cfg["embed_dim"])
    assert shape.heads * shape.head_dim == shape.width == cfg["vision_cfg"]["width"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("RN50", "it is a ResNet, which has no heads on a residual stream of tokens"),
        (
            "ViT-B-16-SigLIP",
            "it is timm's vit_base_patch16_siglip_224, not open_clip's VisionTransformer",
        ),
        ("coca_ViT-B-32", "it pools by attention (attentional_pool), not by its class token"),
        ("ViT-H-14-CLIPA", "it pools its patch tokens (pool_type='avg'), not its class token"),
    ],
)
def test_a_refusal_names_the_tower_and_the_reason(name: str, reason: str) -> None:
    with pytest.raises(
        UnsupportedTower, match=f"the vision tower of '{name}' is not supported: it "
    ) as caught:
        refuse_unless_supported(CONFIGURATIONS[name], name)
    assert (caught.value.name, caught.value.reason) == (name, reason)


def test_a_configuration_without_a_vision_tower_is_refused() -> None:
    with pytest.raises(UnsupportedTower, match="no vision_cfg"):
        refuse_unless_supported({"embed_dim": 4}, "words only")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"attentional_pool": True, "attn_pooler_heads": 2}, "pools by attention"),
        ({"pool_type": "avg"}, "pool_type='avg'"),
        ({"pool_type": "none"}, "pool_type='none'"),
        ({"scale_attn": True}, "scale_attn"),
        ({"scale_attn_inner": True}, "scale_attn_inner"),
        ({"scaled_cosine_attn": True}, "scaled_cosine_attn"),
    ],
)
def test_a_module_is_refused_for_what_it_is_and_its_configuration_alike(
    options: dict[str, Any], reason: str
) -> None:
    visual = tower(**options)
    for attempt in (Tracer, constants):
        with pytest.raises(UnsupportedTower) as caught:
            attempt(visual)
        assert reason in caught.value.reason
    if "attentional_pool" not in options:
        assert why_unsupported({"vision_cfg": options}) == caught.value.reason


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda visual: nn.Linear(3, 3), "its class is Linear, not open_clip's VisionTransformer"),
        (
            lambda visual: setattr(visual, "ln_post", nn.Identity()),
            "its last norm is of class Identity, not LayerNorm",
        ),
        (
            lambda visual: setattr(visual.transformer, "resblocks", nn.ModuleList([nn.Identity()])),
            "a block is of class Identity, not one of open_clip's own",
        ),
        (
            lambda visual: setattr(visual.transformer.resblocks[1], "attn", nn.Identity()),
            "a block's attention is of class Identity",
        ),
        (
            lambda visual: setattr(visual.transformer.resblocks[0].attn, "batch_first", False),
            "its attention takes tokens before images",
        ),
    ],
)
def test_a_tower_that_was_changed_is_refused(change: Any, reason: str) -> None:
    visual = tower()
    with pytest.raises(UnsupportedTower) as caught:
        vision(change(visual) or visual, "mine").watch()
    assert caught.value.reason.startswith(reason)
    assert caught.value.name == "mine"


def test_support_is_decided_without_torch() -> None:
    code = "import sys, belvedere.compute.towers.support; print({'torch', 'open_clip'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"
