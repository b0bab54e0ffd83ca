"""Real processes that fill a store, forked from a server that has loaded all libraries once."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Literal

import pytest

import belvedere
from belvedere.compute.running.report import Progress, Report
from belvedere.store.claims import Claims
from belvedere.store.errors import StoreFull
from belvedere.store.folder import Folder
from belvedere.store.views import Unit
from tests.small_views import Letters, text_set

LIBRARIES = ["tests.libraries"]
"""What the server imports once, and the processes no more."""
Manner = Literal["quiet", "telling", "pausing"]
"""Whether a fill says when each batch is done, and whether it then waits for an answer."""


def forked(task: Callable[..., None], *options: Any) -> BaseProcess:
    """Start a process that does something; the server that it is forked from is started if need be."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(LIBRARIES)
    process = context.Process(target=task, args=options)
    process.start()
    return process


class Worker:
    """One process that fills the head descriptions of a store, and what it says."""

    def __init__(self, path: Path, task: Callable[..., Any], *options: Any) -> None:
        self._hears, says = multiprocessing.Pipe()
        self.process = forked(_work, path, task, options, says)
        says.close()

    def hear(self, seconds: float = 120) -> Any:
        """Wait for the next thing that it says; `EOFError` where it ended without a word."""
        assert self._hears.poll(seconds), "the process says nothing"
        return self._hears.recv()

    def speaks(self, seconds: float) -> bool:
        """Tell whether it says something, or ends, within so many seconds."""
        return self._hears.poll(seconds)

    def say(self, what: Any = None) -> None:
        """Say something to it."""
        self._hears.send(what)

    def signal(self, number: int) -> None:
        """Send it a signal."""
        assert self.process.pid is not None
        os.kill(self.process.pid, number)

    def end(self) -> int | None:
        """Wait until it has ended; give its exit code."""
        self.process.join(120)
        return self.process.exitcode


def _work(path: Path, task: Callable[..., Any], options: tuple[Any, ...], says: Connection) -> None:
    import torch

    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        task(belvedere.open(path), says, *options)
    except KeyboardInterrupt:
        says.send("interrupted")


class Told(Progress):
    """Says when each batch is done, and waits for an answer where it is to pause."""

    def __init__(self, says: Connection, *, pause: bool) -> None:
        self._says, self._pause = says, pause

    def advance(self, count: int) -> None:
        """Say so."""
        self._says.send("batch")
        if self._pause:
            self._says.recv()


def fill(store: belvedere.Store, says: Connection, manner: Manner = "quiet") -> None:
    """Fill all, and say what came of it."""
    says.send("started")
    says.send(descriptions(store, manner != "quiet" and Told(says, pause=manner == "pausing")))


def fill_together(store: belvedere.Store, says: Connection) -> None:
    """Fill all once told to, and say what came of it."""
    says.send("started")
    says.recv()
    says.send(descriptions(store, False))


def fill_and_sleep(store: belvedere.Store, says: Connection, lease: float) -> None:
    """Fill all with claims that expire soon, saying so after each batch and waiting for a word."""

    def claims(self: Folder) -> Claims:
        return Claims(self.objects, lease=lease)

    Folder.claims = claims  # type: ignore[method-assign]
    says.send(descriptions(store, Told(says, pause=True)))


def fill_and_list(store: belvedere.Store, says: Connection) -> None:
    """Fill all, and say which packages were imported for that, beyond what the server has imported."""
    before = set(sys.modules)
    descriptions(store, False)
    says.send({name.split(".")[0] for name in set(sys.modules) - before})


def fill_what_fits(store: belvedere.Store, says: Connection, largest: int) -> None:
    """Fill all with files that can be so many bytes long; say what the refusal says."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    try:
        descriptions(store, False)
    except StoreFull as error:
        says.send(str(error))


def fill_and_weigh(store: belvedere.Store, says: Connection) -> None:
    """Fill all, and say how many bytes of memory that took at its peak."""
    descriptions(store, False)
    says.send(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def descriptions(store: belvedere.Store, progress: bool | Progress) -> Report:
    """Fill the head descriptions in batches of 64."""
    report: Report = store.view("head_descriptions").fill(batch_size=64, workers=1, progress=progress)
    return report


def wait_for(what: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until something is so."""
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, "it never came to be"
        time.sleep(0.01)


def fill_letters(store: belvedere.Store, says: Connection, count: int) -> None:
    """Fill so many units of two texts once told to; say how many were computed here, and what came of all."""
    units = letter_units(count)
    says.send("started")
    says.recv()
    report = store._engine.fill(units)
    says.send((len(Letters.calls), report))


def letter_units(count: int) -> Sequence[Unit]:
    """Give so many units, each of two texts, that take next to no time."""
    return Letters(text_set([f"{number} a" for number in range(2 * count)]), block=2).units


def fill_slowly(store: belvedere.Store, says: Connection, count: int, lease: float) -> None:
    """Fill so many units, waiting for a word before each, with claims that expire soon."""

    class Slow(Progress):
        def advance(self, count: int) -> None:
            says.send("made")
            says.recv()

    Folder.claims = lambda self: Claims(self.objects, lease=lease)  # type: ignore[method-assign]
    says.send(store._engine.fill(letter_units(count), progress=Slow()))


def work(store: belvedere.Store, says: Connection) -> None:
    """Work as `belvedere worker` does, once told to, and say what came of it."""
    says.send("started")
    says.recv()
    says.send(store.work(batch_size=64, workers=1, progress=False).report)


def collect(store: belvedere.Store, says: Connection) -> None:
    """Collect without grace, again and again, until a word comes; say how often, and what went in all."""
    says.send("started")
    rounds, gone = 0, 0
    while not says.poll():
        gone += sum(each.count for each in store.gc(grace=0).garbage)
        rounds += 1
    says.send((rounds, gone))


@pytest.fixture
def workers() -> Iterator[list[Worker]]:
    """Processes to be ended after the test, however it went."""
    found: list[Worker] = []
    yield found
    for worker in found:
        if worker.process.is_alive():
            worker.process.kill()
        worker.end()
