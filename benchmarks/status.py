"""What status costs: 10,000 units looked up, against a plain listing of their records."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pyarrow as pa

from belvedere.query.engine import Engine
from belvedere.query.upkeep.status import status
from belvedere.store import marker
from belvedere.store.records import folder_of
from belvedere.store.registry import TEXT_ENTRIES
from belvedere.store.sets import TextSet
from belvedere.views import Derived, Grid, Input, Made, Parts, TableView, Unit

from .row import Row, ratio, seconds

UNITS, ROUNDS = 10_000, 5


@dataclass(frozen=True)
class Words(Derived, TableView):
    """A unit for each text, which nothing here ever makes."""

    texts: Input[TextSet]
    axis: ClassVar[str] = "text"
    columns: ClassVar[dict[str, str]] = {"text": "int64"}

    @property
    def grid(self) -> Grid:
        """One text a unit."""
        return Grid(len(self.texts), 1)

    def contents(self, start: int, stop: int) -> str:
        """Give the digest of the texts."""
        return self.texts.contents(start, stop)

    def derive(self, unit: Unit, parts: Parts) -> Made:
        """Refuse: records are written by hand below."""
        raise NotImplementedError


def _words(text: str) -> Words:
    rows = [{"text_id": i, "text": f"{text} {i}", "category": None} for i in range(UNITS)]
    view = Words(TextSet("words", "a list", pa.Table.from_pylist(rows, schema=TEXT_ENTRIES)))
    assert len(view.units) == UNITS  # their digests are made once, and are not what is measured
    return view


def rows() -> Iterator[Row]:
    """Measure units that are all ready, asked again and in a new process; and units that are all stale."""
    ready, stale = _words("one"), _words("another")
    with tempfile.TemporaryDirectory() as folder:
        marker.check(Path(folder), "a")
        engine = Engine(Path(folder), "a")
        for unit in ready.units:
            made = {"seconds": 0.1, "device": "cpu", "host": "here", "run": "one", "time": "now"}
            engine.folder.records.keep(unit, {"part": b"x"}, absent={}, facts={}, made=made)

        def asked(view: Words, engine: Engine) -> None:
            found = status(engine.folder, view, view.units, None)
            assert (found.ready, found.stale) == ((UNITS, 0) if view is ready else (0, UNITS))

        def listing() -> None:
            assert sum(1 for _ in engine.folder.objects.list(folder_of(ready))) == UNITS

        asked(ready, engine)
        calls = {"ready": (ready, engine), "stale": (stale, engine)}
        for name, given in calls.items():
            least = min(seconds(lambda given=given: asked(*given)) for _ in range(ROUNDS))  # type: ignore[misc]
            yield Row(f"status of {UNITS:,} units, all {name}", least, 0.5, "s")
        cold = min(seconds(lambda: asked(ready, Engine(Path(folder), "a"))) for _ in range(ROUNDS))
        yield Row(f"status of {UNITS:,} units in a process that asks first", cold, 0.5, "s")
        against = ratio(lambda: asked(ready, engine), listing)
        yield Row(f"status of {UNITS:,} units, against a plain listing of them", against, 3)
