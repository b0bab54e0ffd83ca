"""The tutorial holds: its package installs, its commands show what really comes out, its view is right."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from belvedere.query.store import Store
from tests.new_view import CONSOLE, FILE, PAGE, Workbench, commands, tidy


def test_the_page_shows_what_really_comes_out(tmp_path: Path) -> None:
    text = PAGE.read_text()
    bench = Workbench(tmp_path)
    bench.write(text)
    shown = [each for block in CONSOLE.findall(text) for each in commands(block)]
    found = [(line, tidy(bench.run(line))) for line, _ in shown]
    assert found == shown, "if that is right: python -m tests.new_view"
    assert len(found) >= 10


def test_every_block_of_the_page_is_a_file_or_is_run() -> None:
    text = PAGE.read_text()
    assert text.splitlines()[1] == "<!-- run by tests/test_new_view.py -->"
    fences = len(re.findall(r"^```\w+$", text, re.MULTILINE))
    assert fences == len(FILE.findall(text)) + len(CONSOLE.findall(text))


@pytest.fixture(scope="module")
def tutorial(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The tutorial's view, as a module."""
    files = dict(FILE.findall(PAGE.read_text()))
    path = tmp_path_factory.mktemp("page") / "head_spread.py"
    path.write_text(files["head-spread/head_spread.py"])
    spec = importlib.util.spec_from_file_location("head_spread", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(__import__("sys").modules, "head_spread", module)
        spec.loader.exec_module(module)
        yield module


def test_the_spread_is_that_of_the_contributions_themselves(kept: Store, tutorial: Any) -> None:
    contributions = kept.view("head_contributions")[:].astype(np.float64)
    moments, maps = kept.view("head_moments")[:], kept.view("tower_maps")[:]
    for layer, head in np.ndindex(2, 2):
        mine = contributions[:, layer, head]
        variances = np.linalg.svd(mine - mine.mean(0), compute_uv=False) ** 2
        held = np.cumsum(variances) / variances.sum()
        for share in (0.1, 0.5, 0.9, 0.99):
            components, first = tutorial.spread(moments[layer, head], maps[layer, head], share)
            assert components == next(n for n, value in enumerate(held, 1) if value >= share)
            np.testing.assert_allclose(first, held[0], rtol=1e-6)
    assert tutorial.spread(moments[0, 0], maps[0, 0], 1.0)[0] <= 8


def test_a_head_that_does_not_vary_has_no_spread(tutorial: Any) -> None:
    maps, nothing = np.eye(3), np.zeros((7, 7))
    assert tutorial.spread(nothing, maps, 0.9) == (None, None)
    same = np.outer([1.0, 2.0, 0.0, 4.0, 0, 0, 0], [1.0, 2.0, 0.0, 4.0, 0, 0, 0]) * 4
    assert tutorial.spread(same, maps, 0.9) == (None, None)
