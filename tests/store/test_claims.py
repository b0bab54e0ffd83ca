"""Claims: made once, renewed, released, and taken over from the dead and from those that sleep."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from belvedere.store.claims import LAPSED, Claims
from belvedere.store.objects import Objects
from tests.small_views import Letters, text_set

UNIT, OTHER = Letters(text_set(["a", "b"]), block=1).units


@pytest.fixture
def objects(tmp_path: Path) -> Objects:
    return Objects(tmp_path)


def held(objects: Objects) -> list[str]:
    return [info.path for info in objects.list("claims/")]


def rewrite(objects: Objects, **facts: Any) -> None:
    """Change what the one claim there is says."""
    (path,) = held(objects)
    objects.put(path, json.dumps({**objects.get_json(path), **facts}).encode())


def test_a_unit_is_claimed_by_one_and_free_again_when_it_is_released(objects: Objects) -> None:
    mine, other = Claims(objects), Claims(objects)
    assert (mine.take(UNIT), other.take(UNIT), other.take(OTHER)) == (True, False, True)
    mine.release(UNIT)
    assert other.take(UNIT)
    mine.release(UNIT)
    assert len(held(objects)) == 2
    other.release_all()
    assert held(objects) == []


def test_a_claim_that_expired_is_taken_over_and_its_first_owner_cannot_release_it(objects: Objects) -> None:
    asleep, awake = Claims(objects, lease=0.02), Claims(objects)
    assert asleep.take(UNIT)
    time.sleep(0.05)
    assert awake.take(UNIT)
    asleep.release(UNIT)
    asleep.release_all()
    assert not Claims(objects).take(UNIT)
    awake.release(UNIT)
    assert held(objects) == []


def test_a_claim_that_was_taken_over_is_not_renewed_by_its_first_owner(objects: Objects) -> None:
    asleep, awake = Claims(objects, lease=0.02), Claims(objects)
    asleep.take(UNIT)
    time.sleep(0.05)
    awake.take(UNIT)
    content = objects.get(held(objects)[0])
    asleep.renew()
    assert objects.get(held(objects)[0]) == content


def test_a_claim_that_is_renewed_does_not_expire(objects: Objects) -> None:
    working, waiting = Claims(objects, lease=0.4), Claims(objects, lease=0.4)
    working.take(UNIT)
    for _ in range(5):
        time.sleep(0.15)
        working.renew()
        assert not waiting.take(UNIT)


def test_the_claim_of_a_process_that_is_gone_is_taken_over_at_once(objects: Objects) -> None:
    gone = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True
    )
    Claims(objects).take(UNIT)
    rewrite(objects, pid=int(gone.stdout), born="1")
    assert Claims(objects).take(UNIT)


def test_a_number_that_another_process_has_now_does_not_keep_a_claim_alive(objects: Objects) -> None:
    Claims(objects).take(UNIT)
    rewrite(objects, pid=os.getpid(), born="1")
    assert Claims(objects).take(UNIT)


def test_the_claim_of_another_machine_holds_until_it_expires(objects: Objects) -> None:
    Claims(objects).take(UNIT)
    rewrite(objects, host="elsewhere", pid=1, born="1")
    assert not Claims(objects).take(UNIT)
    rewrite(objects, expires=time.time() - 1)
    assert Claims(objects).take(UNIT)


@pytest.mark.parametrize("content", [b"", b"\x00\xff", b"{}", b'{"expires": 1}', b"[1]"])
def test_a_claim_that_cannot_be_read_holds_nobody_up(objects: Objects, content: bytes) -> None:
    Claims(objects).take(UNIT)
    objects.put(held(objects)[0], content)
    assert Claims(objects).take(UNIT)


def test_a_claim_from_a_future_clock_holds_nobody_up(objects: Objects) -> None:
    Claims(objects).take(UNIT)
    rewrite(objects, host="elsewhere", expires=time.time() + 1e6)
    assert Claims(objects).take(UNIT)


def test_of_two_that_find_a_claim_lapsed_one_takes_it_over(objects: Objects) -> None:
    """Two look at a lapsed claim; the second acts when the first has already taken it over."""

    class Slow(Objects):
        def create(self, path: str, data: bytes) -> bool:
            if path.startswith(LAPSED):
                assert quick.take(UNIT)
            return super().create(path, data)

    quick, slow = Claims(objects), Claims(Slow(objects.root))
    Claims(objects).take(UNIT)
    rewrite(objects, host="elsewhere", expires=0.0)
    assert not slow.take(UNIT)
    assert not Claims(objects).take(UNIT)
    quick.release(UNIT)
    assert held(objects) == []


def test_a_claim_given_back_while_another_looks_at_it_is_not_mistaken_for_a_lapsed_one(
    objects: Objects,
) -> None:
    """Whoever saw it is told no; the claim that a third one makes meanwhile stays in its place."""

    class Slow(Objects):
        def get(self, path: str) -> bytes:
            if not third._held:
                first.release(UNIT)
                with pytest.raises(FileNotFoundError):
                    super().get(path)
                assert third.take(UNIT)
                raise FileNotFoundError(path)
            return super().get(path)

    first, third, slow = Claims(objects), Claims(objects), Claims(Slow(objects.root))
    assert first.take(UNIT)
    assert not slow.take(UNIT)
    assert [objects.get_json(path)["token"] for path in held(objects)] == [third._me.token]


def test_whoever_dies_while_it_takes_a_claim_over_holds_nobody_up_for_long(objects: Objects) -> None:
    Claims(objects).take(UNIT)
    rewrite(objects, host="elsewhere", expires=0.0)
    objects.put(f"{LAPSED}{UNIT.key}", objects.get(held(objects)[0]))
    patient = Claims(objects)
    assert (patient.take(UNIT), patient.take(UNIT)) == (False, True)
    assert len(held(objects)) == 1


def test_a_clock_that_jumps_takes_no_claim_from_a_process_that_lives(
    objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    working, waiting, now = Claims(objects, lease=0.4), Claims(objects, lease=0.4), time.time()
    working.take(UNIT)
    for jump in (0.0, 1e6, -1e6, 3.0, 0.0):
        monkeypatch.setattr(time, "time", lambda jump=jump: now + jump)
        assert not waiting.take(UNIT)
        time.sleep(0.15)
        working.renew()  # by a clock that has jumped
        assert not waiting.take(UNIT)
    time.sleep(0.5)
    assert waiting.take(UNIT)


def test_a_claim_of_another_machine_whose_clock_jumped_is_late_or_early_and_never_for_ever(
    objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    far = Claims(objects)
    far._me = replace(far._me, host="elsewhere")
    now = time.time()
    for jump, free in ((1e6, True), (-1e6, True), (500.0, True), (200.0, False), (-200.0, False)):
        monkeypatch.setattr(time, "time", lambda jump=jump: now + jump)
        assert far.take(OTHER)
        monkeypatch.setattr(time, "time", lambda: now)
        near = Claims(objects)
        assert near.take(OTHER) == free
        near.release_all()
        far.release_all()
    assert held(objects) == []
