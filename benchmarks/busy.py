"""How busy filling keeps a machine: CPU time over the time that its processors had, decoding included."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import belvedere as bv
from belvedere.demo.scenes import scene

from .row import Row

PICTURES, DIFFERENT = 20_000, 50


def rows() -> Iterator[Row]:
    """Fill the heads of the demo model, once it is loaded, for small pictures in files."""
    with tempfile.TemporaryDirectory() as folder:
        store = _store(Path(folder))
        store.view("head_contributions", images="few").fill(progress=False)
        before, start = os.times(), time.perf_counter()
        store.view("head_contributions", images="many").fill(progress=False)
        wall, after = time.perf_counter() - start, os.times()
        used = after.user + after.system - before.user - before.system
        cores = os.cpu_count() or 1
        yield Row(
            f"processors in use while {PICTURES:,} small pictures are filled",
            used / wall / cores,
            0.85,
            "",
            True,
        )


def _store(folder: Path) -> bv.Store:
    """Add some scenes, and copies of them under many names that are other files."""
    contents = [scene(index).png() for index in range(DIFFERENT)]
    for name, count in (("few", DIFFERENT), ("many", PICTURES)):
        (folder / name).mkdir()
        for number in range(count):
            content = contents[number % DIFFERENT] + f"{name} {number}".encode()
            (folder / name / f"{number:05}.png").write_bytes(content)
    store = bv.open(folder / "store")
    store.add_model("clip", "demo:clip")
    for name in ("few", "many"):
        store.add_images(name, folder / name)
    return store
