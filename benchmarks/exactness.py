"""How exactly real tower shapes are taken apart: random weights, biases and norms; one table row per model.

    python -m benchmarks.exactness [--models b32 b16 l14 h14] [--precision float32 float16 bfloat16]

The relative error is of the sum of all terms against the tower's own embedding, the largest over two images
and both conventions. Asserts the tolerances at which a batch may be kept.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import open_clip
import torch
from torch import nn

from belvedere.compute.towers.check import TOLERANCE, check
from belvedere.compute.towers.constants import constants
from belvedere.compute.towers.native import Tracer

PRECISIONS = {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16"}


def b32(precision: str) -> str:
    return row("ViT-B-32", precision)


def b16(precision: str) -> str:
    return row("ViT-B-16", precision)


def l14(precision: str) -> str:
    return row("ViT-L-14", precision)


def h14(precision: str) -> str:
    return row("ViT-H-14", precision)


MODELS: dict[str, Callable[[str], str]] = {"b32": b32, "b16": b16, "l14": l14, "h14": h14}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--precision", nargs="+", choices=PRECISIONS, default=["float32"])
    options = parser.parse_args(arguments)
    print(
        "| model | precision | relative error | allowed | constants s | trace s |\n|---|---|---|---|---|---|"
    )
    for name in options.models:
        for precision in options.precision:
            print(MODELS[name](precision), flush=True)


def row(name: str, precision: str) -> str:
    """Build the model, trace two images, and give the achieved error as a row of the table."""
    model = open_clip.create_model(name, pretrained=None, precision=PRECISIONS[precision])
    visual: Any = randomise(model.visual)
    del model
    start = time.perf_counter()
    maps = constants(visual)
    built = time.perf_counter()
    images = torch.randn((2, 3, *visual.image_size), generator=torch.Generator().manual_seed(1))
    with Tracer(visual, name) as tracer:
        trace = tracer(images)
    traced = time.perf_counter()
    achieved = check(trace, maps)
    assert achieved <= TOLERANCE[precision], f"{name} in {precision}: {achieved:.1e}"
    times = f"{built - start:.1f} | {traced - built:.1f}"
    return f"| {name} | {precision} | {achieved:.1e} | {TOLERANCE[precision]:.0e} | {times} |"


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


if __name__ == "__main__":
    main()
