"""Rounds in which one process is killed while others write and read, and what must hold after each."""

from __future__ import annotations

import random
import re
import shutil
import signal
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import belvedere
from tests import victims
from tests.crew import Worker
from tests.victims import ARRAYS, BESIDE, DECLARED, GIVEN_UP, KINDS, QUERIES, Job, Truth
from tests.worlds import World, contents, engine, orphans, records

EVERY = 10
"""After so many kills the store is collected and verified, and the readers that stay are new ones."""
KEPT = re.compile(
    r"belvedere\.json|catalog\.duckdb|(names|sets|units|data|recipes|runs|uses|summaries|published|pictures)/.+"
)
"""The only files that may be left once a store was collected."""
STAGED = re.compile(r"#\d+$|\.tmp|\.part$|\.old$")
"""What files are called that are not whole."""


@dataclass(slots=True)
class Figures:
    """What came of some rounds."""

    kills: Counter[str] = field(default_factory=Counter)
    """How many processes were killed, by what they did."""
    steps: Counter[str] = field(default_factory=Counter)
    """What they had done or begun last: `write units`, `delete claims`."""
    answers: Counter[str] = field(default_factory=Counter)
    """How many answers others had meanwhile that were whole, or said to be incomplete; all were right."""
    beside: Counter[str] = field(default_factory=Counter)
    """How many jobs were done to their end beside them, by what they did."""
    escaped: int = 0
    """How many had ended before they were to be killed; these do not count as kills."""
    collected: Counter[str] = field(default_factory=Counter)
    """What collections found, by kind."""
    compared: int = 0
    """How many units were looked for, and read, after a kill."""


class Trial:
    """One store, what it must hold in the end, and the processes that are let loose on it."""

    def __init__(self, folder: Path, world: World, seed: int) -> None:
        """Fill one store undisturbed, and make another of it; `folder` has a folder `photos` already."""
        self.figures = Figures()
        self._dice, self._folder = random.Random(seed), folder
        self._source = _undisturbed(folder / "source", world)
        counted = {path.stem for path in (self._source / "units" / "counted").rglob("*.json")}
        every = contents(self._source).items()
        self._whole = {place: sha for place, sha in every if place.split("/")[0] not in counted}
        self._truth = _truth(self._source)
        self.path = Path(shutil.copytree(self._source, folder / "store"))
        self._store = belvedere.open(self.path)
        self._store.publish()
        self._stay: list[Worker] = []
        self._usual = dict.fromkeys(KINDS, 40)

    def run(self, kills: int) -> Figures:
        """Kill so many processes, check after each, and complete the store in the end; `AssertionError`."""
        workers: list[Worker] = []
        try:
            while (done := self.figures.kills.total()) < kills:
                if not self._stay:
                    self._stay = [self._reader("r"), self._reader("a")]
                    workers += self._stay
                self._round(
                    KINDS[done % len(KINDS)] if done < len(KINDS) else self._dice.choice(KINDS), workers
                )
                if self.figures.kills.total() % EVERY == 0 and self.figures.kills.total() > done:
                    self._settle()
            self._settle()
            self._complete()
        finally:
            for worker in workers:
                if worker.process.is_alive():
                    worker.process.kill()
                worker.end()
        return self.figures

    def _round(self, kind: str, workers: list[Worker]) -> None:
        """Take some units away, let processes loose, kill one, and look whether all is there that was."""
        self._take_away()
        before = {path: record.attempt for path, record in records(self.path).items()}
        jobs = [self._job(kind)] + [self._job(self._dice.choice(BESIDE))] * self._dice.randrange(2)
        reader = self._reader(self._dice.choice(("r", "a")))
        others = [Worker(self.path, victims.do, job) for job in jobs[1:]]
        workers += [reader, *others]
        for other in others:
            assert other.hear() == "started"
        self._kill(jobs[0], workers)
        for job, other in zip(jobs[1:], others, strict=True):
            wrong = other.hear()
            assert wrong is None, f"{job.kind} beside {kind}: {wrong}"
            other.end()
            self.figures.beside[job.kind] += 1
        self._hear_out([reader])
        self._compare(before, limited=any(job.limited for job in jobs), what=f"{[job.kind for job in jobs]}")

    def _kill(self, job: Job, workers: list[Worker]) -> None:
        """Start a job, and kill its process after a random one of its steps, at once or a little later."""
        steps = victims.new_steps(job.steps)
        victim = Worker(self.path, victims.do, job)
        workers.append(victim)
        assert victim.hear() == "started"
        after = self._dice.randrange(self._usual[job.kind])
        while not victim.speaks(0.0005) and steps.count < after:
            pass
        if victim.speaks(self._dice.choice((0.0, 0.0, self._dice.uniform(0, 0.1)))):
            wrong = victim.hear()
            assert wrong is None, f"{job.kind}: {wrong}"
            self._usual[job.kind] = (self._usual[job.kind] + steps.count) // 2 + 1
            self.figures.escaped += 1
        else:
            victim.signal(signal.SIGKILL)
            self.figures.kills[job.kind] += 1
            self.figures.steps[steps.last] += 1
            self._usual[job.kind] += 1 + self._usual[job.kind] // 5
        victim.end()

    def _take_away(self) -> None:
        """Have everything there again, and then let some of it be missing: records go, and data stay.

        One unit is set aside now and then, as whoever finds it damaged does.
        """
        self._store.pull(self._source, progress=False)
        share = self._dice.choice((0.05, 0.3, 0.9))
        for path in records(self.path):
            if self._dice.random() < share:
                (self.path / path).unlink()
        if self._dice.random() < 0.25:
            for path in list(records(self.path))[-1:]:
                engine(self._store).folder.records._set_aside(path)

    def _job(self, kind: str) -> Job:
        steps = self._folder / f"steps{self._dice.getrandbits(32):08x}"
        victims.new_steps(steps)
        return Job(kind, self._dice.getrandbits(32), self._source, self._truth, steps)

    def _reader(self, mode: str) -> Worker:
        reader = Worker(self.path, victims.read, self._truth, self._dice.getrandbits(32), mode)
        assert reader.hear() == "started"
        return reader

    def _hear_out(self, readers: list[Worker]) -> None:
        for reader in readers:
            reader.say()
            counts, wrong = reader.hear()
            assert not wrong, wrong
            self.figures.answers += counts
            reader.end()

    def _compare(self, before: dict[str, str], *, limited: bool, what: str) -> None:
        """See that what was finished is there, is not made again, and is what it must be."""
        now = {path: record.attempt for path, record in records(self.path).items()}
        kept = {p: a for p, a in before.items() if not (limited and p.split("/")[1] == GIVEN_UP)}
        lost = {path for path, attempt in kept.items() if now.get(path) != attempt}
        assert not lost, f"{what}: lost {sorted(lost)}"
        there = contents(self.path)
        wrong = [place for place, sha in there.items() if self._whole.get(place, sha) != sha]
        assert not wrong, f"{what}: not as it was {wrong}"
        self.figures.compared += len(now)

    def _settle(self) -> None:
        """Collect and verify: nothing is left that nobody needs, and nothing is damaged."""
        self._hear_out(self._stay)
        self._stay = []
        for each in self._store.gc(grace=0).garbage:
            self.figures.collected[each.what] += each.count
        again = self._store.gc(grace=0).garbage
        assert again == (), f"a second collection finds {again}"
        assert orphans(self.path) == []
        files = {str(path.relative_to(self.path)) for path in self.path.rglob("*") if path.is_file()}
        left = sorted(file for file in files if not KEPT.fullmatch(file) or STAGED.search(file))
        assert not left, f"a collection leaves {left}"
        damage = self._store.verify(progress=False).damage
        assert damage == (), damage

    def _complete(self) -> None:
        """Fill what is missing: the store holds what one that nobody disturbed does.

        But for the table `counted`, of which it has one for each list of images that it had.
        """
        assert self._store.work(batch_size=64, workers=1, progress=False).complete
        assert all(each.complete for each in self._store.refresh(progress=False).values())
        there = contents(self.path)
        counted = {
            record.unit for path, record in records(self.path).items() if path.split("/")[1] == "counted"
        }
        assert {
            place: sha for place, sha in there.items() if place.split("/")[0] not in counted
        } == self._whole
        assert self._store.errors() == []
        assert self._store.sql("FROM counted").fetchall() == self._store.sql(DECLARED["counted"]).fetchall()
        assert _truth(self.path).rows == self._truth.rows


def _undisturbed(path: Path, world: World) -> Path:
    """Fill a store, and nobody disturbs it."""
    with world.store(path) as store:
        victims.add_few(store, path, 2)
        for view in ("head_descriptions", GIVEN_UP):
            assert store.view(view, images="photos").fill(batch_size=64, workers=1, progress=False).complete
        for name, statement in DECLARED.items():
            store.declare(name, sql=statement)
        assert all(each.complete for each in store.refresh(progress=False).values())
    return path


def _truth(path: Path) -> Truth:
    with belvedere.open(path, mode="r") as store:
        arrays = {name: store.view(name, images="photos").read(missing="raise") for name in ARRAYS}
        rows = {query: store.sql(query, require_complete=True).fetchall() for query in QUERIES}
    return Truth(arrays, rows)
