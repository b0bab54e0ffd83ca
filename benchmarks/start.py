"""How long the command takes to start, against what it cannot do without."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import belvedere as bv

from .row import Row, ratio


def rows() -> Iterator[Row]:
    """Run whole processes in turn."""
    with tempfile.TemporaryDirectory() as folder:
        bv.open(Path(folder) / "store")
        options = ["--store", f"{folder}/store"]
        yield Row("belvedere --help, against import click", _processes(["--help"], "import click"), 2.5)
        asked = ["sql", *options, "SELECT 1"]
        yield Row('belvedere sql "SELECT 1", against import duckdb', _processes(asked, "import duckdb"), 2.0)


def _processes(arguments: list[str], code: str) -> float:
    command = [str(Path(sys.executable).parent / "belvedere"), *arguments]

    def run(words: list[str]) -> None:
        subprocess.run(words, check=True, capture_output=True)

    return ratio(lambda: run(command), lambda: run([sys.executable, "-c", code]), rounds=9)
