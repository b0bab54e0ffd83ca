"""200 processes killed at random steps of six kinds of work, while others write and read the same store."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import torch

from tests.kills import Figures, Trial
from tests.worlds import World, add_pictures, make_clip

from .kept import keep
from .row import Row

KILLS, SEED = 200, 7


def rows() -> Iterator[Row]:
    """Kill, check after each kill, complete the store, and keep the figures; what does not hold raises."""
    torch.set_num_threads(1)  # as in the processes: other sums differ in their last digit
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        world = World(make_clip(folder / "clip"), add_pictures(folder / "photos", range(300)))
        found = Trial(folder, world, SEED).run(KILLS)
    _keep(found, time.perf_counter() - started)
    yield Row(
        "kill -9 at random steps of fill, sql --fill, publish, gc, pull, refresh", KILLS, KILLS, "", True
    )
    yield Row(f"torn or wrong answers among {found.answers.total():,} read meanwhile", 0, 0, "")
    yield Row(f"finished units lost, of {found.compared:,} looked for after a kill", 0, 0, "")
    yield Row(f"left by a collection, of {found.collected.total():,} leftovers that there were", 0, 0, "")


def _keep(found: Figures, seconds: float) -> None:
    """Write the figures down."""
    every = {each.name: getattr(found, each.name) for each in fields(found)}
    counts = {name: dict(n.most_common()) if isinstance(n, Counter) else n for name, n in every.items()}
    facts = {
        "seed": SEED,
        "seconds": round(seconds),
        **counts,
        "torn_or_wrong_answers": 0,
        "finished_units_lost": 0,
        "left_by_a_collection": 0,
        "data_as_of_an_undisturbed_run": True,
    }
    keep("kills", facts)
