"""Which vision towers are decomposed, decided from an open_clip configuration before weights are read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from ...store.errors import UnsupportedTower
from ...store.sets import TowerShape
from ..models.model_files import first_line


def shape_of(model_cfg: Mapping[str, Any], name: str) -> TowerShape:
    """Give the sizes of the vision tower of an open_clip configuration, and how far it is taken apart.

    `model_cfg` is a mapping with `embed_dim` and `vision_cfg`; the tower is built without weights, which
    takes no memory, and its modules are asked. Raises `UnsupportedTower`, with the reason, where it is not
    decomposed, and under this name.
    """
    if not isinstance(model_cfg.get("vision_cfg"), Mapping):
        raise UnsupportedTower(name, "its configuration has no vision_cfg")
    keys = ("embed_dim", "vision_cfg", "quick_gelu")
    found = _shape(json.dumps({key: model_cfg[key] for key in keys if key in model_cfg}, sort_keys=True))
    if isinstance(found, str):
        raise UnsupportedTower(name, found)
    return found


@lru_cache(maxsize=256)
def _shape(config: str) -> TowerShape | str:
    """Give the sizes of a tower, or the reason why it is not decomposed."""
    import torch
    from open_clip.model import _build_vision_tower

    from .vision import vision

    facts = json.loads(config)
    try:
        with torch.device("meta"):
            visual = _build_vision_tower(
                facts["embed_dim"],
                {**facts["vision_cfg"], "timm_model_pretrained": False},
                bool(facts.get("quick_gelu")),
            )
    except Exception as error:  # whatever open_clip and timm raise for a configuration that they cannot make
        return f"open_clip cannot build it ({type(error).__name__}: {first_line(error)})"
    try:
        return vision(visual.eval()).shape
    except UnsupportedTower as error:
        return error.reason
