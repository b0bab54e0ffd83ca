"""How busy filling keeps a machine: CPU time over the time that its processors had, decoding included."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from .copies import store_of
from .row import Row

PICTURES = 20_000


def rows() -> Iterator[Row]:
    """Fill the heads of the demo model, once it is loaded, for small pictures in files."""
    with tempfile.TemporaryDirectory() as folder:
        store = store_of(Path(folder), few=50, many=PICTURES)
        store.view("head_contributions", images="few").fill(progress=False)
        before, start = os.times(), time.perf_counter()
        store.view("head_contributions", images="many").fill(progress=False)
        wall, after = time.perf_counter() - start, os.times()
    used = after.user + after.system - before.user - before.system
    what = f"processors in use while {PICTURES:,} small pictures are filled"
    yield Row(what, used / wall / (os.cpu_count() or 1), 0.85, "", at_least=True)
