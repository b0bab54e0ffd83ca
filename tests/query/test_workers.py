"""Many workers on one store share units out, and take over from those that are killed or stopped."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import numpy as np
import pytest

import belvedere
from belvedere.compute.running.report import Progress, Report
from belvedere.store import marker
from belvedere.store.errors import BadSource, ReadOnlyStore
from tests import crew, forked
from tests.crew import Worker, fill_letters, fill_slowly, wait_for
from tests.worlds import World, contents, orphans, records

COUNT = 500


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """An empty store."""
    marker.check(tmp_path / "store", "a")
    return tmp_path / "store"


def start(workers: list[Worker]) -> None:
    """Wait until all are ready, and let them begin at once."""
    for worker in workers:
        assert worker.hear() == "started"
    for worker in workers:
        worker.say()


def test_four_workers_compute_five_hundred_units_five_hundred_times(
    path: Path, workers: list[Worker]
) -> None:
    workers += [Worker(path, fill_letters, COUNT) for _ in range(4)]
    start(workers)
    said = [worker.hear() for worker in workers]
    assert sum(calls for calls, _ in said) == COUNT
    assert sum(report.filled for _, report in said) == COUNT
    assert all(report.complete and report.filled + report.reused == COUNT for _, report in said)
    assert (len(records(path)), orphans(path)) == (COUNT, [])
    assert len({record.made["run"] for record in records(path).values()}) > 1
    assert belvedere.open(path).gc(grace=0).garbage == ()


def test_a_collection_beside_four_that_fill_loses_nothing(path: Path, workers: list[Worker]) -> None:
    collector = Worker(path, crew.collect)
    workers += [Worker(path, fill_letters, COUNT) for _ in range(4)]
    assert collector.hear() == "started"
    start(workers)
    said = [worker.hear() for worker in workers]
    collector.say()
    rounds, _ = collector.hear()
    workers.append(collector)
    assert rounds > 3
    assert sum(calls for calls, _ in said) == COUNT
    assert sum(report.filled for _, report in said) == COUNT
    store = belvedere.open(path)
    verified = store.verify()
    assert (verified.units, verified.damage, orphans(path)) == (COUNT, (), [])
    assert store.gc(grace=0).garbage == ()


def test_of_two_the_one_that_is_left_takes_over_at_once_what_was_killed(
    path: Path, workers: list[Worker]
) -> None:
    workers += [Worker(path, fill_slowly, 40, 300.0), Worker(path, fill_slowly, 40, 300.0)]
    killed, left = workers
    assert (killed.hear(), left.hear()) == ("made", "made")  # each holds the claim of a unit
    killed.process.kill()
    killed.end()
    since = time.monotonic()
    left.say()
    while (said := left.hear()) == "made":
        left.say()
    assert isinstance(said, Report)
    assert (said.filled + said.reused, len(records(path))) == (40, 40)
    assert time.monotonic() - since < 250  # the claims of one that lives would hold for 300 s
    assert belvedere.open(path).gc(grace=0, dry_run=True).units == ()


def test_one_that_is_stopped_past_its_claim_is_taken_over_and_its_late_record_loses(
    path: Path, workers: list[Worker]
) -> None:
    workers += [Worker(path, fill_slowly, 20, 0.3)]
    asleep = workers[0]
    assert asleep.hear() == "made"
    asleep.signal(signal.SIGSTOP)
    time.sleep(0.5)
    workers.append(Worker(path, fill_slowly, 20, 0.3))
    awake = workers[1]
    while (said := awake.hear()) == "made":
        awake.say()
    assert said == Report(filled=20)
    before = (records(path), contents(path))
    store = belvedere.open(path)
    store.gc(grace=0)  # while one that is stopped still means to write
    asleep.signal(signal.SIGCONT)
    while True:
        asleep.say()
        if (said := asleep.hear()) != "made":
            break
    assert said == Report(reused=20)
    assert (records(path), contents(path), orphans(path)) == (*before, [])
    store.gc(grace=0)
    assert not list((path / "claims").rglob("*.*"))
    assert not list((path / "running").iterdir())


def test_two_workers_fill_what_was_begun_and_share_it_out(
    world: World, tmp_path: Path, workers: list[Worker]
) -> None:
    store = world.store(tmp_path / "store")
    assert store.view("head_descriptions").fill(batch_size=64, workers=1).complete
    whole = contents(store)
    gone = [place for place in records(store) if "text_embeddings" not in place]
    for place in gone:
        (store.path / place).unlink()
    workers += [Worker(store.path, crew.work) for _ in range(2)]
    start(workers)
    reports = [worker.hear() for worker in workers]
    assert all(report.complete for report in reports)
    assert sum(report.filled for report in reports) == len(gone)
    assert contents(store) == whole


def test_a_worker_waits_for_more_and_ends_when_it_is_told_to(world: World, tmp_path: Path) -> None:
    store = world.store(tmp_path / "store")
    store.view("tower_maps").fill()
    running = forked.belvedere("worker", "--poll", "0.1", "--store", str(store.path))
    try:
        for _ in range(2):
            next((store.path / "units").rglob("*.json")).unlink()
            wait_for(lambda: len(records(store)) == 1)
        running.send_signal(signal.SIGTERM)
        done = running.ended(60)
    finally:
        running.kill()
    assert (done.returncode, done.stdout) == (0, "2 filled, 0 reused, 0 failed, 0 skipped units\n")
    assert "ended before all was done: what is finished is kept" in done.stderr
    assert store.gc(grace=0).garbage[0].what == "data of attempts that were not finished"
    assert store.gc(grace=0).garbage == ()


def test_what_goes_as_soon_as_it_is_filled_is_filled_again(world: World, tmp_path: Path) -> None:
    store = world.store(tmp_path / "store")
    maps = store.view("tower_maps")

    class Removing(Progress):
        times = 0

        def end(self) -> None:
            self.times += 1
            if self.times == 1:
                next((store.path / "units").rglob("*.json")).unlink()

    found = store.work([maps], progress=Removing())
    assert (found.complete, found.report.filled, len(records(store))) == (True, 2, 1)


def test_a_worker_ends_in_the_middle_of_a_unit_and_gives_its_claims_back(
    world: World, tmp_path: Path
) -> None:
    store, heard = world.store(tmp_path / "store"), list[int]()

    def stop() -> bool:
        heard.append(len([each for each in (store.path / "claims").rglob("*") if each.is_file()]))
        return len(heard) == 4

    found = store.work([store.view("head_contributions")], batch_size=64, progress=False, stop=stop)
    assert (found.ended, found.complete, found.report.filled) == (True, True, len(records(store)))
    assert heard[-1] > 0  # it held claims when it was told
    assert not [each for each in (store.path / "claims").rglob("*") if each.is_file()]
    again = store.work([store.view("head_contributions")], batch_size=64, progress=False)
    assert (again.ended, found.report.filled + again.report.filled) == (False, 3)
    assert orphans(store) == []


def test_a_worker_goes_on_past_what_cannot_be_filled(world: World, tmp_path: Path) -> None:
    store = world.store(tmp_path / "store")
    values = np.ones((300, 5), np.float32)
    np.save(tmp_path / "acts.npy", values)
    store.import_arrays("theirs", tmp_path / "acts.npy", images="photos", module="layer4", progress=False)
    store.view("tower_maps", model="m").fill()
    for place in records(store):
        (store.path / place).unlink()
    found = store.work(progress=False)
    assert (found.ended, found.complete, found.report) == (False, False, Report(filled=1))
    assert [each.partition(":")[0] for each in found.refused] == [
        "neuron_activations[theirs × photos × layer4]"
    ]
    assert "cannot be computed: they were imported; import acts.npy again" in found.refused[0]


def test_a_worker_that_has_time_for_nothing_ends_at_once(store: belvedere.Store) -> None:
    store.view("tower_maps").fill()
    assert store.work(max_seconds=0).ended
    assert not store.work(max_seconds=60).ended
    for wrong in ({"poll": 0.0}, {"max_seconds": -1.0}):
        with pytest.raises(BadSource, match="it"):
            store.work(**wrong)  # type: ignore[arg-type]
    with pytest.raises(ReadOnlyStore, match='open it with mode="a" to fill it'):
        belvedere.open(store.path, mode="r").work()
