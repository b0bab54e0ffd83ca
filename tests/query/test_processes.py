"""Many processes on one store: killed, stopped, interrupted, all at once, or out of room."""

from __future__ import annotations

import random
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import belvedere
from belvedere.compute.running.report import Report
from tests.crew import (
    Worker,
    fill,
    fill_and_list,
    fill_and_sleep,
    fill_and_weigh,
    fill_together,
    fill_what_fits,
    wait_for,
)
from tests.worlds import TEXTS, World, add_pictures, contents, orphans, records

UNITS = 12
"""Units of the store below: 6 blocks of images, maps, moments, texts, 2 layers; and one more block."""


@pytest.fixture(scope="module")
def blank(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of 1,600 pictures of which nothing is computed."""
    folder = tmp_path_factory.mktemp("many")
    return World(world.clip, add_pictures(folder / "photos", range(1600))).store(folder / "store").path


@pytest.fixture(scope="module")
def undisturbed(blank: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That store, filled by one process that nobody disturbed."""
    path = Path(shutil.copytree(blank, tmp_path_factory.mktemp("undisturbed") / "store"))
    worker = Worker(path, fill)
    assert (worker.hear(), worker.hear(), worker.end()) == ("started", Report(filled=UNITS), 0)
    return path


@pytest.fixture
def path(blank: Path, tmp_path: Path) -> Path:
    """A copy of the store of which nothing is computed."""
    return Path(shutil.copytree(blank, tmp_path / "store"))


def claims(path: Path) -> list[Path]:
    """List the claims that are held."""
    return [each for each in (path / "claims").rglob("*") if each.is_file()]


def test_killed_again_and_again_a_fill_loses_nothing_and_repeats_nothing(
    path: Path, undisturbed: Path, workers: list[Worker]
) -> None:
    whole, dice = contents(undisturbed), random.Random(3)
    kept: dict[str, str] = {}
    stages = []
    for _ in range(7):
        worker = Worker(path, fill, "telling")
        workers.append(worker)
        batches = dice.randrange(1, 14)  # a block of images is four
        while batches and worker.hear() in ("started", "batch"):
            batches -= 1
        time.sleep(dice.uniform(0, 0.05))
        worker.process.kill()
        worker.end()
        now = {place: record.attempt for place, record in records(path).items()}
        assert kept.items() <= now.items()  # what was finished stays, and is not made again
        assert contents(path).items() <= whole.items()  # what is there is whole
        stages.append(len(now))
        kept = now if len(now) < UNITS - 2 else {}
        for place in now.keys() - kept.keys():  # near the end, begin again
            (path / place).unlink()
    worker = Worker(path, fill)
    assert worker.hear() == "started"
    report = worker.hear()
    assert (report.filled, report.failed, report.skipped) == (UNITS - len(kept), 0, 0)
    assert contents(path) == whole
    assert kept.items() <= {place: record.attempt for place, record in records(path).items()}.items()
    done = {Path(place).stem for place in records(path)}
    assert {claim.name for claim in claims(path)} <= done  # a kill may come between a record and its release
    assert belvedere.open(path, mode="r").verify().damage == ()
    assert len(set(stages)) > 2  # the kills did fall in the middle


def test_a_process_that_is_forked_imports_next_to_nothing(path: Path, workers: list[Worker]) -> None:
    workers.append(Worker(path, fill_and_list))
    assert workers[0].hear() <= {"pyarrow"}


def test_three_that_fill_at_once_compute_each_unit_once(
    path: Path, undisturbed: Path, workers: list[Worker]
) -> None:
    workers += [Worker(path, fill_together) for _ in range(3)]
    for worker in workers:
        worker.hear()
    for worker in workers:
        worker.say()
    reports = [worker.hear() for worker in workers]
    assert sum(report.filled for report in reports) == UNITS
    assert all(report.complete for report in reports)
    assert contents(path) == contents(undisturbed)
    assert (orphans(path), claims(path)) == ([], [])


def test_the_claims_of_a_killed_process_are_taken_over_at_once(path: Path, workers: list[Worker]) -> None:
    workers.append(Worker(path, fill, "pausing"))
    assert (workers[0].hear(), workers[0].hear()) == ("started", "batch")
    assert claims(path) != []
    workers[0].signal(signal.SIGKILL)
    workers[0].end()
    done = len(records(path))
    workers.append(Worker(path, fill))
    workers[1].hear()
    assert workers[1].hear().filled == UNITS - done  # soon: where a process lives, its claim holds for 300 s
    assert claims(path) == []


def test_a_process_that_sleeps_past_its_claim_wakes_to_a_record_that_is_not_its_own(
    path: Path, undisturbed: Path, workers: list[Worker]
) -> None:
    workers.append(Worker(path, fill_and_sleep, 0.5))
    while not any("head_contributions" in str(claim) for claim in claims(path)):
        assert workers[0].hear() == "batch"
        workers[0].say()
    assert workers[0].hear() == "batch"
    workers[0].signal(signal.SIGSTOP)
    done = len(records(path))
    time.sleep(0.6)
    workers.append(Worker(path, fill))
    workers[1].hear()
    assert workers[1].hear() == Report(filled=UNITS - done)
    attempts = {place: record.attempt for place, record in records(path).items()}
    workers[0].signal(signal.SIGCONT)
    report: Any = "batch"
    while report == "batch":
        workers[0].say()
        report = workers[0].hear()
    assert report == Report(filled=done, reused=UNITS - done)
    assert {place: record.attempt for place, record in records(path).items()} == attempts
    assert contents(path) == contents(undisturbed)
    assert (orphans(path), claims(path)) == ([], [])


def test_an_interrupted_fill_gives_its_claims_back_and_keeps_what_is_finished(
    path: Path, undisturbed: Path, workers: list[Worker]
) -> None:
    workers.append(Worker(path, fill, "pausing"))
    workers[0].hear()
    for _ in range(10):  # batches of 64: two blocks and a half, or one less if the texts came first
        assert workers[0].hear() == "batch"
        workers[0].say()
    wait_for(lambda: bool(claims(path)))
    workers[0].signal(signal.SIGINT)
    workers[0].say()
    said = workers[0].hear()
    while said == "batch":
        said = workers[0].hear()
    assert (said, workers[0].end()) == ("interrupted", 0)
    done = records(path)
    assert 2 <= len(done) < UNITS
    assert contents(path).items() <= contents(undisturbed).items()
    assert (orphans(path), claims(path)) == ([], [])
    assert belvedere.open(path).sql("SELECT sum(filled) FROM runs").fetchall() == [(len(done),)]
    assert belvedere.open(path).view("head_descriptions").fill(batch_size=64).filled == UNITS - len(done)


def test_without_room_a_fill_says_so_keeps_what_is_finished_and_goes_on_afterwards(
    path: Path, undisturbed: Path, workers: list[Worker]
) -> None:
    workers.append(Worker(path, fill_what_fits, 16_000))  # a block of factors takes 33 kB
    message = workers[0].hear()
    assert message.startswith("no room left to write data/head_contributions/")
    assert "(EFBIG); everything finished before is kept: make room and run the same command again" in message
    assert workers[0].end() == 0
    done = records(path)
    assert {place.split("/")[1] for place in done} <= {"tower_maps", "text_embeddings"}
    assert (orphans(path), claims(path)) == ([], [])
    workers.append(Worker(path, fill))
    workers[1].hear()
    assert workers[1].hear().filled == UNITS - len(done)
    assert contents(path) == contents(undisturbed)


def test_the_memory_of_a_fill_does_not_grow_with_the_images(
    world: World, tmp_path: Path, workers: list[Worker]
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(2400):  # 120 kB each in memory
        colour = (number % 256, number // 256, 0)
        Image.new("RGB", (200, 200), colour).save(photos / f"{number:05}.png", compress_level=1)
    few, many = (belvedere.open(tmp_path / name) for name in ("few", "many"))
    for store, count in ((few, 600), (many, 2400)):
        store.add_model("m", world.source)
        store.add_images("photos", sorted(photos.iterdir())[:count])
        store.add_texts("words", TEXTS)
    workers += [Worker(few.path, fill_and_weigh), Worker(many.path, fill_and_weigh)]
    small, large = (worker.hear() for worker in workers)
    assert large < 1.1 * small
