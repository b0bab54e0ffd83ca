"""The relative error of the sum of all terms, at true shape, with random biases and norms."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import open_clip
import torch
from torch import nn

from belvedere.compute.towers.check import TOLERANCE, check
from belvedere.compute.towers.vision import vision

from .row import Row

TOWERS = ("ViT-B-32", "ViT-B-16", "ViT-L-14", "ViT-H-14")
_OPEN_CLIP = {"float32": "fp32", "bfloat16": "bf16"}


def rows() -> Iterator[Row]:
    """Trace two images with every tower in float32, and with the smallest in half precision."""
    for name in TOWERS:
        yield _row(name, "float32")
    yield _row("ViT-B-32", "bfloat16")


def _row(name: str, precision: str) -> Row:
    visual: Any = randomise(open_clip.create_model(name, precision=_OPEN_CLIP[precision]).visual)
    images = torch.randn((2, 3, *visual.image_size), generator=torch.Generator().manual_seed(1))
    with vision(visual, name).watch() as tracer:
        achieved = check(tracer(images), vision(visual).constants())
    what = f"relative error of the sum of all terms, {name}, {precision}"
    return Row(what, achieved, TOLERANCE[precision], unit="")


def randomise(visual: nn.Module) -> nn.Module:
    """Draw the tower's parameters anew, so that no bias is zero and no norm is the identity."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in visual.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.ndim == 1:
                noise = 0.2 * noise + (1.0 if name.endswith("weight") else 0.1)
            elif "embedding" not in name:
                fan_in = parameter.shape[0] if name == "proj" else parameter[0].numel()
                noise /= math.sqrt(fan_in)
            parameter.copy_(noise)
    return visual
