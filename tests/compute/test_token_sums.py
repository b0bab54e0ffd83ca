"""What is traced of single tokens has to sum to what heads add, or nothing of it is kept."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from belvedere.compute.towers.check import TOLERANCE, check
from belvedere.compute.towers.token_sums import error_by_token
from belvedere.compute.towers.vision import vision
from tests.compute.naive_tower import photos, tower


@pytest.fixture(scope="module")
def traced() -> Any:
    """A trace with all that can be asked for, and the tower's constants."""
    visual = tower()
    taken = vision(visual)
    with taken.watch() as tracer:
        trace = tracer(photos(visual), tokens=True, patches=True, class_token=True)
    return trace, taken.constants()


def test_the_error_is_that_of_the_sums_written_out(traced: Any) -> None:
    trace, constants = traced
    assert check(trace, constants) < 1e-6
    moved = trace.token_factor.copy()
    moved[1, 2, 3, 4] *= 1.01
    moved = replace(trace, token_factor=moved)
    wanted = max(
        np.linalg.norm(moved.token_factor[image].sum(axis=2) - trace.factor[image])
        / np.linalg.norm(trace.factor[image])
        for image in range(len(trace.factor))
    )
    assert error_by_token(replace(moved, patch=None), constants) == pytest.approx(wanted, rel=1e-3)


@pytest.mark.parametrize("convention", ["own", "clip_prs"])
def test_a_patch_that_is_off_is_told(traced: Any, convention: str) -> None:
    trace, constants = traced
    for kept in ({"token_factor": None}, {"class_factor": None}):
        some = replace(trace, **kept)
        assert error_by_token(some, constants) < 1e-6
        if convention == "own":
            wrong = replace(some, patch=some.patch[:, ::-1] * np.float32(1.01))
        else:
            wrong = replace(some, patch_mean=some.patch_mean + np.float32(0.01))
        assert error_by_token(wrong, constants) > TOLERANCE["float32"]
        assert check(wrong, constants) > TOLERANCE["float32"]


def test_where_nothing_was_traced_by_token_there_is_no_error(traced: Any) -> None:
    trace, constants = traced
    assert error_by_token(replace(trace, token_factor=None, patch=None), constants) == 0
    assert error_by_token(replace(trace, token_factor=None, class_factor=None), constants) == 0
    broken = trace.token_factor.copy()
    broken[0, 0, 0, 0, 0] = np.nan
    assert np.isnan(error_by_token(replace(trace, token_factor=broken), constants))
    assert np.isnan(check(replace(trace, token_factor=broken), constants))
