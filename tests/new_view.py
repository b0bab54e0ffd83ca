"""Runs docs/new-view.md: writes its files, installs its package for real, and runs its commands.

`python -m tests.new_view` writes their real output into it.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from tests.forked import Program

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "new-view.md"
FILE = re.compile(r"^`([\w./-]+)`\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CONSOLE = re.compile(r"(?<=^```console\n)(.*?)(?=^```$)", re.MULTILINE | re.DOTALL)
BUILD = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"


class Workbench:
    """A working directory, and a folder in which packages are installed."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._site = folder, folder / "site"
        self._site.mkdir(parents=True)
        path = [str(Path(sys.executable).parent), os.environ["PATH"]]
        self._environment = {
            **{name: value for name, value in os.environ.items() if name != "BELVEDERE_STORE"},
            "PATH": os.pathsep.join(path),
            "PYTHONPATH": os.pathsep.join([str(self._site), str(ROOT)]),
            "PYTHONDONTWRITEBYTECODE": "1",
            "COLUMNS": "80",
            "OMP_NUM_THREADS": "1",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # it warns of plugins that are imported already
        }

    def write(self, text: str) -> None:
        """Write the files of the page."""
        for name, content in FILE.findall(text):
            (self._folder / name).parent.mkdir(exist_ok=True)
            (self._folder / name).write_text(content)

    def run(self, line: str) -> str:
        """Run one command; give what a terminal would show, but for progress."""
        words = shlex.split(line)
        if words[0] == "cd":
            self._folder = self._folder / words[1]
            return ""
        if words[:2] == ["pip", "install"]:
            return self._install((self._folder / words[-1]).resolve())
        line, _, piped = line.partition(" | ")
        done = self._start(line)
        if piped and done.returncode == 0:
            done = self._run(piped, self._folder, shell=True, text=done.stdout)
        return done.stdout if done.returncode == 0 else f"{done.stdout}{done.stderr}"

    def _start(self, line: str) -> subprocess.CompletedProcess[str]:
        """Run a command; Python and what is written in it are forked from a process that has imported all."""
        name, *words = shlex.split(line)
        if name == "belvedere":
            words = ["-m", "belvedere", *words]
        elif name != "python":
            return self._run(line, self._folder, shell=True)
        return Program(words, self._folder, self._environment).ended()

    def _install(self, package: Path) -> str:
        """Build a wheel as pip would, and unpack it in place of what was there; pip itself may be absent."""
        shutil.rmtree(package / "build", ignore_errors=True)
        with tempfile.TemporaryDirectory() as folder:
            built = self._run([sys.executable, "-c", BUILD, folder], package)
            assert built.returncode == 0, built.stderr
            with zipfile.ZipFile(Path(folder) / built.stdout.split()[-1]) as wheel:
                wheel.extractall(self._site)
        return ""

    def _run(
        self, command: str | list[str], folder: Path, *, shell: bool = False, text: str = ""
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            shell=shell,
            cwd=folder,
            env=self._environment,
            input=text,
            capture_output=True,
            text=True,
            timeout=300,
        )


def commands(block: str) -> list[tuple[str, str]]:
    """Take a block apart: each command, and what the page shows of its output."""
    parts = re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]
    return [(command, shown) for command, _, shown in (part.partition("\n") for part in parts)]


def write() -> None:
    """Put the real output below every command."""
    text = PAGE.read_text()
    with tempfile.TemporaryDirectory() as folder:
        bench = Workbench(Path(folder))
        bench.write(text)

        def rewritten(match: re.Match[str]) -> str:
            return "".join(f"$ {line}\n{tidy(bench.run(line))}" for line, _ in commands(match.group()))

        PAGE.write_text(CONSOLE.sub(rewritten, text))


def tidy(output: str) -> str:
    """Leave out spaces at the ends of lines, and how long pytest took."""
    return re.sub(
        r"[ \t]+$",
        "",
        re.sub(r" in [\d.]+s( \([\d:]+\))?$", " in …", output, flags=re.MULTILINE),
        flags=re.MULTILINE,
    )


if __name__ == "__main__":
    write()
