"""Random statements over a store against the same rows in native tables: differences, and units read.

`python -m benchmarks.fuzz [--statements N] [--seed S] [--minutes M] [--world FOLDER]` prints JSON.

A unit is *needed* by a statement where the answer without the unit's rows is another one. What has to be read
is often more than that: for `max(score)` one unit is needed, and all have to be looked at. So the ratio of
units read to units needed is told for all statements, and apart for those of which every row that passes the
filters shows (no aggregates, LIMIT, DISTINCT, EXISTS or comparison with a SELECT).
"""

from __future__ import annotations

import argparse
import json
import random
import re
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import belvedere
from tests import sql_world
from tests.comparing import Compared, compare, rows_of
from tests.sql_world import Twin, hide, restore, twin
from tests.statements import Asked, Generator
from tests.worlds import engine

from .kept import where
from .row import Row

STATEMENTS, MINUTES = 2000, 60.0
MODES = ("ready", "missing", "ready", "fill")
"""Half of the statements are asked over all units; of others some are missing, and filled or not."""
SAMPLED = 10
"""The units needed are found of one in so many statements: each takes a run for every unit."""
SHARES = (0.02, 0.1, 0.4)
"""So many of the units are missing, one or the other."""
_MORE = re.compile(
    r"count\(|min\(|max\(|LIMIT|DISTINCT|EXISTS| IN \(SELECT|EXCEPT|INTERSECT|UNION |OVER|ANTI|SEMI"
)


@dataclass
class Units:
    """Units counted over statements."""

    read: int = 0
    """Units that were read, or computed."""
    needed: int = 0
    """Of those (that were missing), units without which the answer is another one."""

    @property
    def ratio(self) -> float | None:
        """How many times as many were read; None where none was needed."""
        return round(self.read / self.needed, 3) if self.needed else None


@dataclass
class Tally:
    """What came of the statements of one mode."""

    outcomes: Counter[str] = field(default_factory=Counter)
    """How many were equal, incomplete, refused, different."""
    differences: list[str] = field(default_factory=list)
    """The statements that differ."""
    every: Units = field(default_factory=Units)
    """Units of all sampled statements."""
    plain: Units = field(default_factory=Units)
    """Units of those of which every row shows, and there is one."""


def fuzz(world: Path, statements: int, seed: int, minutes: float) -> dict[str, Tally]:
    """Draw statements and answer each both ways, while there is time."""
    store = belvedere.open(world, mode="r", memory=True)
    kept = [str(path.relative_to(world)) for path in (world / "units").rglob("*.json")]
    tallies = {mode: Tally() for mode in MODES}
    dice, generator = random.Random(seed), Generator(seed)
    start = time.monotonic()
    with twin(store) as native, warnings.catch_warnings():
        warnings.simplefilter("ignore", belvedere.IncompleteAnswer)
        for number in range(statements):
            if time.monotonic() - start > 60 * minutes:
                break
            mode = MODES[number % len(MODES)]
            gone = hide(store, 0.0 if mode == "ready" else dice.choice(SHARES), dice, kept)
            sampled = number // len(MODES) % SAMPLED == 0
            _one(store, native, generator.statement(), tallies[mode], mode, set(gone), sampled)
        restore(store)
    return tallies


def _one(
    store: belvedere.Store, native: Twin, asked: Asked, tally: Tally, mode: str, gone: set[str], sampled: bool
) -> None:
    with belvedere.trace() as seen:
        found = compare(store, native, asked, fill=mode == "fill")
    tally.outcomes[found.outcome] += 1
    if found.outcome == "different":
        tally.differences.append(f"{found.why}: {asked.query} {asked.params}")
    if found.outcome != "equal" or not sampled or mode == "missing":
        return
    if mode == "fill":
        _bounded(store, asked, len(seen.of("compute")), gone, tally)
    needed = set(_needed(native, asked))
    used = _used(found) if mode == "ready" else sum(e.filled for e in _views(found))
    every = [tally.every] if _MORE.search(asked.query) or not needed else [tally.every, tally.plain]
    for units in every:
        units.read += used
        units.needed += len(needed if mode == "ready" else needed & gone)


def _bounded(store: belvedere.Store, asked: Asked, computed: int, gone: set[str], tally: Tally) -> None:
    """Check that what was computed is no more than what was told beforehand."""
    restore(store)
    for path in gone:
        engine(store).folder.objects.delete(path)
    most = store.plan(asked.query, asked.params).most.units
    if computed > most:
        tally.differences.append(f"{computed} units computed, {most} told: {asked.query} {asked.params}")


def _views(found: Compared) -> list[Any]:
    assert found.completeness is not None
    return [each for name, each in found.completeness.views.items() if name not in sql_world.DECLARED]


def _used(found: Compared) -> int:
    return sum(each.needed for each in _views(found))


def _needed(native: Twin, asked: Asked) -> Iterator[str]:
    """List the units without whose rows the answer is another one."""
    found = native.rows(asked.whole, asked.params)
    whole = rows_of(found)
    for unit in (unit for name, units in native.units.items() if name in asked.query for unit in units):
        left = native.without(unit, asked.whole, asked.params)
        if len(left) != len(found) or rows_of(left) != whole:
            yield unit


def rows() -> Iterator[Row]:
    """Run a tenth of the statements, for the table of all benchmarks."""
    with tempfile.TemporaryDirectory() as folder:
        tallies = fuzz(sql_world.make(Path(folder)), STATEMENTS // 10, 0, MINUTES)
    wrong = sum(len(each.differences) for each in tallies.values())
    yield Row(f"differences in {STATEMENTS // 10} random statements", wrong, 0, "")
    ratio = tallies["ready"].plain.ratio
    yield Row("units read to units needed, where every row shows", ratio or 0.0, 2.0)


def main() -> None:
    """Print the figures of one run; end with 1 where there is a difference."""
    reads = argparse.ArgumentParser(description=__doc__)
    reads.add_argument("--statements", type=int, default=STATEMENTS)
    reads.add_argument("--seed", type=int, default=0)
    reads.add_argument("--minutes", type=float, default=MINUTES, help="stop then, and tell what was done")
    reads.add_argument("--world", type=Path, help="the store that an earlier run made, or where to make it")
    given = reads.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        world = given.world or Path(folder)
        store = world / "store" if (world / "store").exists() else sql_world.make(world)
        tallies = fuzz(store, given.statements, given.seed, given.minutes)
    figures = {
        mode: {
            **each.outcomes,
            "differences": each.differences,
            "units": {"read": each.every.read, "needed": each.every.needed, "ratio": each.every.ratio},
            "units_plain": {"read": each.plain.read, "needed": each.plain.needed, "ratio": each.plain.ratio},
        }
        for mode, each in tallies.items()
    }
    print(
        json.dumps(
            {
                **where(),
                "statements": sum(e.outcomes.total() for e in tallies.values()),
                "seed": given.seed,
                **figures,
            },
            indent=1,
        )
    )
    raise SystemExit(any(each.differences for each in tallies.values()))


if __name__ == "__main__":
    main()
