"""The command as a function, and small stores of forty of the demo's scenes, for the tests of the shell."""

import csv
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import belvedere
from belvedere.cli import main
from belvedere.demo.scenes import test_scenes

Run = Callable[..., Result]
"""Runs the command in this process: words, and what stands on stdin."""
Process = Callable[..., "subprocess.CompletedProcess[str]"]
"""Runs the command in a process of its own."""
SCENES = 40


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No store in or above the working directory, and no wish about width."""
    monkeypatch.chdir(tmp_path)
    for name in ("BELVEDERE_STORE", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def run(elsewhere: None) -> Run:
    """Run the command in this process; errors that are no answers of the command's go through."""

    def run(*words: object, stdin: str | None = None) -> Result:
        result = CliRunner().invoke(main, [str(word) for word in words], input=stdin, prog_name="belvedere")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


@pytest.fixture
def process(elsewhere: None) -> Process:
    """Run the command in a process of its own."""

    def process(*words: object, stdin: str | None = None) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "belvedere", *map(str, words)]
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
        return subprocess.run(
            command, input=stdin, capture_output=True, text=True, env=environment, timeout=120
        )

    return process


@pytest.fixture(scope="session")
def forty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of forty scenes beside their pictures: path, label (the shape) and grp (the background)."""
    folder = tmp_path_factory.mktemp("scenes")
    with (folder / "scenes.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "label", "grp"])
        for scene in test_scenes(SCENES):
            (folder / f"{scene.index:03}.png").write_bytes(scene.png())
            rows.writerow([f"{scene.index:03}.png", scene.label, scene.grp])
    return folder / "scenes.csv"


@pytest.fixture(scope="session")
def bare_once(forty: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = belvedere.open(tmp_path_factory.mktemp("named") / "store")
    store.add_model("clip", "demo:clip")
    store.add_images("scenes", forty)
    store.add_texts("pool", "demo:scenes")
    return store.path


@pytest.fixture(scope="session")
def whole(bare_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the roles of the demo model's heads over forty scenes; not to be written to."""
    folder = shutil.copytree(bare_once, tmp_path_factory.mktemp("filled") / "store")
    with belvedere.open(folder) as store:
        assert store.view("head_roles").fill().complete
    return folder


@pytest.fixture
def bare(bare_once: Path, tmp_path: Path) -> Path:
    """A store with a model, images and texts, of which nothing is computed."""
    return shutil.copytree(bare_once, tmp_path / "named")


@pytest.fixture
def spare(whole: Path, tmp_path: Path) -> Path:
    """A copy of the filled store."""
    return shutil.copytree(whole, tmp_path / "full")
