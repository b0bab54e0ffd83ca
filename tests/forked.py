"""Programs in processes of their own, forked from the server that has imported everything once."""

from __future__ import annotations

import io
import os
import runpy
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType

from tests.crew import forked

ROOT = Path(__file__).parents[1]


class Program:
    """What `python …` would start, `-m NAME …` or `-c CODE …`, with what it prints kept in files.

    It has the working directory, the environment and, from PYTHONPATH, the folders of modules that it is
    given; it shares with others only what is imported before anything runs.
    """

    def __init__(
        self, words: Sequence[str], folder: Path | None = None, environment: Mapping[str, str] | None = None
    ) -> None:
        self._words = list(words)
        self._kept = tempfile.TemporaryDirectory()
        self._files = [Path(self._kept.name) / name for name in ("stdout", "stderr")]
        given = dict(os.environ if environment is None else environment)
        self.process = forked(_start, self._words, folder or Path.cwd(), given, self._files)

    def poll(self) -> int | None:
        """Give the exit code, if it has ended; minus the signal that ended it."""
        return self.process.exitcode

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal, unless it has ended."""
        if self.process.pid is not None and self.process.is_alive():
            os.kill(self.process.pid, number)

    def kill(self) -> None:
        """End it, if it has not ended."""
        self.send_signal(signal.SIGKILL)
        self.process.join(60)

    def ended(self, seconds: float = 300) -> subprocess.CompletedProcess[str]:
        """Wait until it has ended; give its exit code, and what it printed."""
        self.process.join(seconds)
        if self.process.exitcode is None:
            self.kill()
            raise TimeoutError(f"{self._words} did not end in {seconds} s")
        said = [file.read_text() if file.exists() else "" for file in self._files]
        self._kept.cleanup()
        return subprocess.CompletedProcess(self._words, self.process.exitcode, *said)


def belvedere(*words: str, environment: Mapping[str, str] | None = None) -> Program:
    """Start a command."""
    return Program(["-m", "belvedere", *words], environment=environment)


def _start(words: list[str], folder: Path, environment: dict[str, str], files: Sequence[Path]) -> None:
    """Become the program."""
    for number, file in enumerate(files, 1):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), number)
    sys.stdout, sys.stderr = (
        io.TextIOWrapper(io.FileIO(number, "w", closefd=False), "utf-8", line_buffering=True)
        for number in (1, 2)
    )
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.path[:0] = [str(folder), *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]
    (kind, what), sys.argv = words[:2], ["-c" if words[0] == "-c" else words[1], *words[2:]]
    if kind == "-m":
        runpy.run_module(what, run_name="__main__", alter_sys=True)
    else:
        main = ModuleType("__main__")
        sys.modules["__main__"] = main
        exec(compile(what, "<string>", "exec"), vars(main))
