"""What filling costs: batches traced, checked and kept, against plain `encode_image` over the same batches.

Times are CPU seconds of the process on one thread, which other processes disturb less than the clock.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch

from belvedere.compute.models.compiled import Compiled
from belvedere.compute.towers.check import check
from belvedere.compute.towers.vision import vision
from belvedere.store import arrays
from belvedere.store.objects import Objects
from belvedere.store.views import Member

from .row import Row

TOWERS = {"ViT-B-32": (32, 9), "ViT-B-16": (32, 9), "ViT-L-14": (8, 5)}
"""Towers, each with how many images go through at once, and how often."""
COMPILED = "ViT-B-16"
"""The tower whose parts are compiled as well, where there is a compiler."""


def rows() -> Iterator[Row]:
    """Measure each tower, with heads kept, the same by compiled parts, and token factors before writing."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for name, (batch, rounds) in TOWERS.items():
        found = _measure(name, batch, rounds)
        yield Row(f"filling head_contributions, against encode_image, {name}", found["heads"], 1.05)
        if "compiled" in found:
            yield Row(f"the same by compiled parts, against encode_image, {name}", found["compiled"], 1.05)
        yield Row(f"token factors before writing, against encode_image, {name}", found["tokens"], 1.15)
    torch.set_num_threads(threads)


def _measure(name: str, batch: int, rounds: int) -> dict[str, float]:
    """Give the median ratio of each to a plain pass, in turn; of one tower compiled parts as well."""
    model = open_clip.create_model(name).eval()
    images = torch.randn((batch, 3, *model.visual.image_size), generator=torch.Generator().manual_seed(0))
    maps = vision(model.visual).constants()

    def plain() -> None:
        with torch.inference_mode():
            model.encode_image(images)

    with tempfile.TemporaryDirectory() as folder, vision(model.visual, name).watch() as tracer:
        objects = Objects(Path(folder))

        def heads() -> None:
            trace = tracer(images)
            check(trace, maps)
            for content in arrays.encode(_member(trace.factor), trace.factor, 64).values():
                objects.put("factor", content)

        quick = Compiled(model.visual)

        def compiled() -> None:
            with quick.running():
                heads()

        calls: dict[str, Callable[[], object]] = {"plain": plain, "heads": heads}
        calls["tokens"] = lambda: tracer(images, tokens=True)
        found = _ratios(_in_turn(calls, rounds))
        if name == COMPILED and (shutil.which("g++") or shutil.which("clang++")):
            # apart: what compiles goes on in threads of this process
            found |= _ratios(_in_turn({"plain": plain, "compiled": compiled}, rounds))
    return found


def _ratios(times: Mapping[str, list[float]]) -> dict[str, float]:
    """Give the median of each one's ratios to the plain pass beside it."""
    return {
        kind: statistics.median(a / b for a, b in zip(each, times["plain"], strict=True))
        for kind, each in times.items()
    }


def _member(factor: np.ndarray[Any, Any]) -> Member:
    dims = ("image", "layer", "head", "head_dim")
    return Member("factor", dims, factor.shape, "float32", (64, 1, *factor.shape[2:]))


def _in_turn(calls: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Time the calls alternately, forwards and backwards; the first round is not counted."""
    times: dict[str, list[float]] = {kind: [] for kind in calls}
    for turn in range(rounds + 1):
        for kind in list(calls) if turn % 2 else [*calls][::-1]:
            start = time.process_time()
            calls[kind]()
            times[kind].append(time.process_time() - start)
    return {kind: seconds[1:] for kind, seconds in times.items()}
