"""Runs the blocks of README.md one after the other.

`python -m tests.readme` writes their real output into it.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

README = Path(__file__).parents[1] / "README.md"
BLOCK = re.compile(r"^```(console|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NOT_RUN = "<!-- not run:"


@dataclass(frozen=True, slots=True)
class Example:
    """A command or statement, and what the README shows of its output."""

    source: str
    """The command without its prompt, or the statement."""
    shown: str
    """The output that stands below it."""


class Shell:
    """A working directory and Python names that last from one block to the next."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names: dict[str, Any] = {}
        self._path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

    def command(self, line: str) -> str:
        """Run one command; give what a terminal would show, but for progress."""
        words = shlex.split(line)
        if words[0] == "cd":
            self._folder = (self._folder / words[1]).resolve()
            return ""
        environment = {**os.environ, "PATH": self._path, "COLUMNS": "120"}
        done = subprocess.run(
            line, shell=True, cwd=self._folder, env=environment, capture_output=True, text=True
        )
        return done.stdout if done.returncode == 0 else f"{done.stdout}{done.stderr}"

    def statement(self, source: str) -> str:
        """Run one statement; give what an interpreter would show."""
        shown = io.StringIO()
        with contextlib.chdir(self._folder), contextlib.redirect_stdout(shown):
            exec(compile(source, "README.md", "single"), self._names)
        return shown.getvalue()


def examples(kind: str, block: str) -> Iterator[Example]:
    """Take a block apart: `$ ` starts a command, and Python stands as in an interpreter."""
    if kind == "python":
        for each in doctest.DocTestParser().get_examples(block):
            yield Example(each.source, each.want)
        return
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        source, _, shown = part.partition("\n")
        yield Example(source, shown)


def blocks(text: str) -> Iterator[tuple[re.Match[str], str]]:
    """Find the blocks that are run, each with its kind."""
    for match in BLOCK.finditer(text):
        if not text[: match.start()].rstrip().split("\n")[-1].startswith(NOT_RUN):
            yield match, match.group(1)


def run(shell: Shell, kind: str, example: Example) -> str:
    """Run one example."""
    return shell.command(example.source) if kind == "console" else shell.statement(example.source)


def write() -> None:
    """Put the real output below every command and statement."""
    text = README.read_text()
    with tempfile.TemporaryDirectory() as folder:
        shell = Shell(Path(folder))
        pieces, end = [], 0
        for match, kind in blocks(text):
            pieces += [text[end : match.start()], f"```{kind}\n{_rewritten(shell, kind, match.group(2))}```"]
            end = match.end()
    README.write_text("".join([*pieces, text[end:]]))


def _rewritten(shell: Shell, kind: str, block: str) -> str:
    lines = []
    for example in examples(kind, block):
        output = re.sub(r"[ \t]+$", "", run(shell, kind, example), flags=re.MULTILINE).strip("\n")
        if kind == "console":
            lines += [f"$ {example.source}"]
        else:
            first, *rest = example.source.rstrip("\n").split("\n")
            lines += [f">>> {first}", *(f"... {line}" for line in rest)]
        lines += output.split("\n") if output else []
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    write()
