"""Processes that are killed at random instants, whatever they do, cost nobody anything but work."""

from __future__ import annotations

from pathlib import Path

from tests.kills import Trial
from tests.victims import KINDS
from tests.worlds import World, add_pictures

KILLS = 12


def test_kills_tear_nothing_lose_nothing_and_leave_nothing(world: World, tmp_path: Path) -> None:
    photos = add_pictures(tmp_path / "photos", range(300))
    figures = Trial(tmp_path, World(world.clip, photos), seed=1).run(KILLS)
    assert figures.kills.total() == KILLS
    assert set(figures.kills) == set(KINDS)
    assert len(figures.steps) > 3  # they were hit in different places
    assert figures.answers["whole"] > 20
    assert figures.answers["incomplete"] > 0
