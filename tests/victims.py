"""What the processes of the kill test do: change a store in six ways, and check every number they read."""

from __future__ import annotations

import mmap
import random
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

import duckdb
import numpy as np
from numpy.typing import NDArray

import belvedere
from belvedere.query.exchange.published import CATALOG
from belvedere.store.errors import MissingUnits
from tests.worlds import BLOCK

ARRAYS = ("head_contributions", "mlp_contributions")
"""Arrays that are read."""
GIVEN_UP = "mlp_contributions"
"""The view whose units a collection with limits gives up; no other view is made from it."""
FIRSTS = (
    "SELECT layer, head, description, variance FROM head_descriptions "
    "WHERE image_set = 'photos' AND rank = 0 ORDER BY ALL"
)
COUNTED = "SELECT image_set, count(*) AS n FROM images GROUP BY ALL ORDER BY ALL"
DECLARED = {"firsts": FIRSTS, "counted": COUNTED}
"""The views that are declared: one changes with its units, one with the lists of images."""
QUERIES: dict[str, Callable[[Any], int]] = {
    "SELECT layer, head, rank, description, variance FROM head_descriptions "
    "WHERE image_set = 'photos' ORDER BY ALL": lambda layer: int(layer),
    "SELECT image_id, layer, head, vector FROM head_contributions "
    "WHERE image_set = 'photos' AND layer = 1 ORDER BY ALL": lambda image: int(image) // BLOCK,
    "SELECT image_id, vector FROM head_contributions "
    "WHERE image_set = 'photos' AND image_id > 280 AND head = 0 ORDER BY ALL": lambda image: (
        int(image) // BLOCK
    ),
    "SELECT layer, head, description, variance FROM firsts ORDER BY ALL": lambda _: 0,
}
"""Statements, each with the unit that a row is of, by the row's first column."""
Rows = Sequence[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Truth:
    """What a store that nobody disturbed answers."""

    arrays: Mapping[str, NDArray[Any]]
    """The arrays."""
    rows: Mapping[str, Rows]
    """The answers to `QUERIES`."""


@dataclass(frozen=True, slots=True)
class Job:
    """What one process is to do."""

    kind: str
    """Fill, sql, publish, gc, pull, refresh or append."""
    seed: int
    """Decides what is left open."""
    source: Path
    """A store that has everything; and beside it the pictures."""
    truth: Truth
    """What answers must be."""
    steps: Path
    """A file that has the last step that the process took."""

    @property
    def limited(self) -> bool:
        """Whether this is a collection that gives up units."""
        return self.kind == "gc" and random.Random(self.seed).random() < 0.5


def do(store: belvedere.Store, says: Connection, job: Job) -> None:
    """Do a job; say when it starts, and at its end None or what went wrong."""
    with belvedere.trace() as seen:
        seen.events = _Counted(job.steps)
        says.send("started")
        try:
            _JOBS[job.kind](store, job)
        except Exception:
            says.send(traceback.format_exc())
        else:
            says.send(None)


class Steps:
    """How many steps a process has taken, and which was the last: in a file that outlives it."""

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self._place = mmap.mmap(file.fileno(), WIDTH)

    def take(self, what: str) -> None:
        """Note a step."""
        self._place[:] = f"{self.count + 1} {what}".encode().ljust(WIDTH)[:WIDTH]

    @property
    def count(self) -> int:
        """How many there were."""
        return int(self._place[:].split(b" ")[0])

    @property
    def last(self) -> str:
        """What was done, or begun, last."""
        return self._place[:].decode().split(" ", 1)[1].strip()


def new_steps(path: Path) -> Steps:
    """Make the file of a process that has taken no step."""
    path.write_bytes(b"0 start".ljust(WIDTH))
    return Steps(path)


WIDTH = 64
"""Bytes of that file."""


class _Counted(list[tuple[str, str]]):
    """Events that are told as steps, each with the folder of the store that it is about."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._steps = Steps(path)

    def append(self, event: tuple[str, str]) -> None:
        """Tell an event."""
        kind, detail = event
        self._steps.take(f"{kind} {detail.split('/')[0]}" if "/" in detail else kind)


def _fill(store: belvedere.Store, job: Job) -> None:
    view = random.Random(job.seed).choice(("head_descriptions", GIVEN_UP))
    report = store.view(view, images="photos").fill(batch_size=64, workers=1, progress=False)
    assert report.complete, report


def _sql(store: belvedere.Store, job: Job) -> None:
    query = random.Random(job.seed).choice(sorted(QUERIES))
    answer = store.sql(query, fill=True, batch_size=64, workers=1, progress=False)
    assert answer.completeness.complete, answer.completeness
    assert answer.fetchall() == job.truth.rows[query], query


def _publish(store: belvedere.Store, job: Job) -> None:
    store.publish(progress=False)


def _collect(store: belvedere.Store, job: Job) -> None:
    limits: dict[str, Any] = {"max_bytes": 0, "views": [GIVEN_UP]} if job.limited else {}
    store.gc(grace=0, **limits)


def _pull(store: belvedere.Store, job: Job) -> None:
    pulled = store.pull(job.source, progress=False)
    assert pulled.complete, pulled


def _refresh(store: belvedere.Store, job: Job) -> None:
    reports = store.refresh(batch_size=64, workers=1, progress=False)
    assert all(report.complete for report in reports.values()), reports


def _append(store: belvedere.Store, job: Job) -> None:
    for _ in range(3):
        add_few(store, job.source, 1)


def add_few(store: belvedere.Store, source: Path, count: int) -> None:
    """Append so many pictures to the set `few`, which nothing but a declared view looks at."""
    there = [row[0] for row in store.sql("SELECT path FROM images WHERE image_set = 'few'").fetchall()]
    pictures = sorted((source.parent / "photos").iterdir())
    store.add_images("few", pictures[: len(there) + count])


_JOBS: Mapping[str, Callable[[belvedere.Store, Job], None]] = {
    "fill": _fill,
    "sql": _sql,
    "publish": _publish,
    "gc": _collect,
    "pull": _pull,
    "refresh": _refresh,
    "append": _append,
}
KINDS = tuple(kind for kind in _JOBS if kind != "append")
"""What is killed."""
BESIDE = tuple(_JOBS)
"""What goes on beside it."""
Read = Literal["whole", "incomplete"]


def read(store: belvedere.Store, says: Connection, truth: Truth, seed: int, mode: Literal["a", "r"]) -> None:
    """Read at random until a word comes; say how many answers there were of each kind, and what was wrong."""
    dice, counts, wrong = random.Random(seed), Counter[str](), ""
    reads = (_array, _rows, _rows, _catalog)
    with belvedere.open(store.path, mode=mode) as mine:
        says.send("started")
        while not says.poll() and not wrong:
            look = dice.choice(reads)
            try:
                counts[look(mine, truth, dice)] += 1
            except Exception:
                wrong = f'mode "{mode}", {look.__name__}: {traceback.format_exc()}'
        says.recv()
        says.send((counts, wrong))


def _array(store: belvedere.Store, truth: Truth, dice: random.Random) -> Read:
    name = dice.choice(ARRAYS)
    whole = truth.arrays[name]
    start = dice.randrange(len(whole))
    rows = slice(start, dice.randrange(start, len(whole)) + 1)
    view = store.view(name, images="photos")
    if dice.random() < 0.5:
        try:
            found = view.read(rows, missing="raise")
        except MissingUnits:
            return "incomplete"
        assert np.array_equal(found, whole[rows]), f"{name}[{rows}]"
        return "whole"
    masked = view.read(rows, missing="mask")
    there = ~np.ma.getmaskarray(masked)
    assert np.array_equal(masked.data[there], whole[rows][there]), f"{name}[{rows}], masked"
    return "whole" if there.all() else "incomplete"


def _rows(store: belvedere.Store, truth: Truth, dice: random.Random) -> Read:
    query = dice.choice(sorted(QUERIES))
    answer = store.sql(query)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", belvedere.IncompleteAnswer)
        rows = answer.fetchall()
    whole, unit_of = truth.rows[query], QUERIES[query]
    if answer.completeness.complete:
        assert rows == whole, f"{query}: {len(rows)} of {len(whole)} rows, said to be complete"
        return "whole"
    units = {unit_of(row[0]) for row in rows}
    assert rows == [row for row in whole if unit_of(row[0]) in units], f"{query}: {len(rows)} rows, torn"
    said = sum(each.ready for each in answer.completeness.views.values())
    assert len(units) == said, f"{query}: rows of {len(units)} units, and {said} said to be read"
    return "incomplete"


def _catalog(store: belvedere.Store, truth: Truth, dice: random.Random) -> Read:
    query = (
        next(iter(QUERIES))
        if dice.random() < 0.5
        else "SELECT layer, head, description, variance FROM firsts ORDER BY ALL"
    )
    with duckdb.connect(store.path / CATALOG, read_only=True) as con:
        rows = con.execute(query).fetchall()
        ((photos,),) = con.execute("SELECT count(*) FROM images WHERE image_set = 'photos'").fetchall()
    assert photos == BLOCK + 44, f"{photos} images"
    assert rows in ([], truth.rows[query]), f"{CATALOG}: {len(rows)} of {len(truth.rows[query])} rows"
    return "whole" if rows else "incomplete"
