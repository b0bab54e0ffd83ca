"""How fast a model and pictures are by themselves: decoding, the plain pass, and where they ran."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from typing import Any

import torch
from torch import Tensor

from ...store.errors import BadSource
from ...store.sets import ImageSet
from ..images.pictures import Pictures
from ..models.loaded import Loaded
from ..models.modules import entry
from .batches import Batches
from .encoding import LIBRARIES
from .measured import Measured

KEPT = 512
"""At most so many decoded pictures are held for the plain pass, which they go through one after the other."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """What came of decoding the pictures of a set."""

    pixels: list[Tensor]
    """The first of those that could be decoded, preprocessed."""
    readable: list[int]
    """The places of all that could be."""
    measured: Measured
    """How long they took, by a thread a core."""
    alone: Measured
    """How long a quarter of them took one thread: what more of them bring shows how many are of use."""


def decode(loaded: Loaded, images: ImageSet, pictures: Pictures, batch_size: int) -> Decoded:
    """Decode all pictures by a thread a core, as a fill does, after a round that is not counted.

    In that round files come from disk, and the demo's scenes are painted: later fills find both done.

    Raises `BadSource` where none can be decoded.
    """
    places = range(len(images))
    kept: list[Tensor] = []
    readable: list[int] = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in Batches(images, places, loaded.transform, pictures, pool).of(batch_size):
            pass
        start = time.perf_counter()
        for _, rows, pixels in Batches(images, places, loaded.transform, pictures, pool).of(batch_size):
            readable += rows
            kept += pixels[: max(0, KEPT - len(kept))]
        seconds = time.perf_counter() - start
    if not readable:
        raise BadSource("no picture could be decoded")
    few = readable[: -(-len(readable) // 4)]
    with ThreadPoolExecutor(1) as pool:
        start = time.perf_counter()
        for _ in Batches(images, few, loaded.transform, pictures, pool).of(batch_size):
            pass
        alone = Measured("the same on one thread", len(few), time.perf_counter() - start)
    return Decoded(kept, readable, Measured("decode and preprocess", len(images), seconds), alone)


def forward(loaded: Loaded, pixels: Sequence[Tensor], batch_size: int) -> Measured:
    """Run all pictures through the plain tower, after a batch that is not counted."""
    kind = entry(loaded.side)
    batches = [torch.stack(list(some)) for some in _parts(pixels, batch_size)]

    def run(batch: Tensor) -> None:
        loaded.tower.run(batch.to(loaded.device, kind))

    with torch.inference_mode():
        run(batches[0])
        _settle(loaded)
        start = time.perf_counter()
        for batch in batches:
            run(batch)
        _settle(loaded)
        seconds = time.perf_counter() - start
    return Measured("plain forward pass", len(pixels), seconds)


def _settle(loaded: Loaded) -> None:
    if loaded.device.type == "cuda":
        torch.cuda.synchronize(loaded.device)


def _parts(items: Sequence[Tensor], size: int) -> Iterator[Sequence[Tensor]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def machine(device: str, precision: str, batch_size: int) -> dict[str, Any]:
    """Tell the day, the machine, how it computed, the memory at its peak, and the versions of libraries."""
    gpu = torch.cuda.get_device_name(device) if device.startswith("cuda") else None
    unit = 1 if sys.platform == "darwin" else 1024
    return {
        "date": f"{date.today()}",
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "device": gpu or device,
        "precision": precision,
        "batch_size": batch_size,
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit,
        "versions": {
            "python": platform.python_version(),
            **{each: importlib.metadata.version(each) for each in (*LIBRARIES, "transformers", "duckdb")},
        },
    }
