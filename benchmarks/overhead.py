"""What tracing costs: traced passes against plain `encode_image`, alternating, on the same decoded batches.

    python -m benchmarks.overhead [--models ViT-B-32 ViT-B-16] [--batch 32] [--rounds 9] [--threads 1]

Times are CPU seconds of the process, which other processes disturb less than the clock on the wall. Asserts
that the median ratio is at most 1.05 for head factors and at most 1.15 with token factors.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence

import open_clip
import torch

from belvedere.compute.towers.native import Tracer

BUDGETS = {"heads": 1.05, "tokens": 1.15}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=["ViT-B-32", "ViT-B-16"])
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    print("| model | batch | plain ms/image | heads | tokens |\n|---|---|---|---|---|")
    for name in options.models:
        plain, ratios = measure(name, options.batch, options.rounds)
        cells = " | ".join(f"{ratios[kind]:.3f} ×" for kind in BUDGETS)
        print(f"| {name} | {options.batch} | {plain * 1000 / options.batch:.1f} | {cells} |")
        for kind, budget in BUDGETS.items():
            assert ratios[kind] <= budget, f"{name}: {kind} cost {ratios[kind]:.3f} ×, budget {budget} ×"


def measure(name: str, batch: int, rounds: int) -> tuple[float, dict[str, float]]:
    """Give the seconds of a plain pass, and the median ratio of traced ones to it."""
    model = open_clip.create_model(name, pretrained=None).eval()
    images = torch.randn((batch, 3, *model.visual.image_size), generator=torch.Generator().manual_seed(0))

    def plain() -> None:
        with torch.inference_mode():
            model.encode_image(images)

    times: dict[str, list[float]] = {"plain": [], "heads": [], "tokens": []}
    with Tracer(model.visual, name) as tracer:
        passes: dict[str, Callable[[], object]] = {
            "plain": plain,
            "heads": lambda: tracer(images),
            "tokens": lambda: tracer(images, tokens=True),
        }
        for turn in range(rounds + 1):
            order = list(passes) if turn % 2 else list(reversed(passes))
            for kind in order:
                times[kind].append(_seconds(passes[kind]))
    warm = {kind: seconds[1:] for kind, seconds in times.items()}
    ratios = {
        kind: statistics.median(a / b for a, b in zip(warm[kind], warm["plain"], strict=True))
        for kind in BUDGETS
    }
    return statistics.median(warm["plain"]), ratios


def _seconds(call: Callable[[], object]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


if __name__ == "__main__":
    main()
