"""Runs the blocks of README.md and of the pages in docs/, each page from top to bottom in a fresh folder.

`python -m tests.readme` writes their real output into all of them, `python -m tests.readme docs/PAGE.md …`
into some.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import math
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from belvedere.cli import main

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
BLOCK = re.compile(r"^```(console|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PROMPT = re.compile(r"^(\$|>>>) ", re.MULTILINE)
QUOTED = re.compile(r"'[^']*'|\"[^\"$`]*\"")
SHELL = re.compile(r"[|<>&;()$`*?~\"']")
"""What only a shell understands, outside of quotes."""
PRECISE = re.compile(r"-?\d+\.(\d{3,})(?:e[+-]?\d+)?")
"""Numbers with so many decimals that processors can differ in the last."""
LOOSE = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
NOT_RUN = "<!-- not run:"
RUN_ELSEWHERE = "<!-- run by tests/"


@dataclass(frozen=True, slots=True)
class Example:
    """A command or statement, and what the page shows of its output."""

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
        if words[0] == "belvedere" and not SHELL.search(QUOTED.sub("", line)):
            said = self._here(words[1:])
            return said.stdout if said.exit_code == 0 else f"{said.stdout}{said.stderr}"
        given = ""
        first, _, piped = line.partition(" | ")
        if words[0] == "belvedere" and piped and not SHELL.search(QUOTED.sub("", first)):
            line, given = piped, self._here(shlex.split(first)[1:]).stdout
        environment = {**os.environ, "PATH": self._path, "COLUMNS": "120"}
        done = subprocess.run(
            line, shell=True, cwd=self._folder, env=environment, input=given, capture_output=True, text=True
        )
        return done.stdout if done.returncode == 0 else f"{done.stdout}{done.stderr}"

    def _here(self, words: Sequence[str]) -> Result:
        """Run `belvedere` in this process: starting one takes seconds, and there are two hundred."""
        with contextlib.chdir(self._folder):
            done = CliRunner().invoke(main, words, prog_name="belvedere", env={"COLUMNS": "120"})
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done

    def statement(self, source: str) -> str:
        """Run one statement; give what an interpreter would show."""
        shown = io.StringIO()
        with contextlib.chdir(self._folder), contextlib.redirect_stdout(shown):
            exec(compile(source, "<page>", "single"), self._names)
        return shown.getvalue()


def pages() -> list[Path]:
    """List the README and the pages of docs/ that have blocks to run here."""
    return [page for page in texts() if any(blocks(page.read_text()))]


def texts() -> list[Path]:
    """List the README and the pages of docs/, but for those that have a test of their own."""
    every = [README, *sorted((ROOT / "docs").rglob("*.md"))]
    return [page for page in every if RUN_ELSEWHERE not in page.read_text()]


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
    """Find the blocks that are run, those with a prompt, each with its kind."""
    for match in BLOCK.finditer(text):
        if PROMPT.search(match.group(2)) and not is_excused(text, match.start()):
            yield match, match.group(1)


def is_excused(text: str, place: int) -> bool:
    """Tell whether the line above a block says why it is not run."""
    return text[:place].rstrip().split("\n")[-1].startswith(NOT_RUN)


def run(shell: Shell, kind: str, example: Example) -> str:
    """Run one example."""
    return shell.command(example.source) if kind == "console" else shell.statement(example.source)


def is_shown(shown: str, found: str) -> bool:
    """Tell whether a page shows what came out; processors differ in the last decimals."""
    pairs = zip(PRECISE.finditer(shown), PRECISE.finditer(found), strict=False)
    alike = {new.start(): old[0] for old, new in pairs if _alike(old, new)}
    found = PRECISE.sub(lambda match: alike.get(match.start(), match[0]), found)
    return doctest.OutputChecker().check_output(shown, found, LOOSE)


def _alike(shown: re.Match[str], found: re.Match[str]) -> bool:
    digits = len(shown[1])
    last = (1.01 if digits < 4 else 5.01) * 10.0**-digits if digits == len(found[1]) else 0.0
    return math.isclose(float(shown[0]), float(found[0]), rel_tol=1e-5, abs_tol=last)


def write(page: Path) -> None:
    """Put the real output below every command and statement of a page."""
    text = page.read_text()
    with tempfile.TemporaryDirectory() as folder:
        shell = Shell(Path(folder))
        pieces, end = [], 0
        for match, kind in blocks(text):
            pieces += [text[end : match.start()], f"```{kind}\n{_rewritten(shell, kind, match.group(2))}```"]
            end = match.end()
    page.write_text("".join([*pieces, text[end:]]))


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


def rewrite(names: Sequence[str]) -> None:
    """Rewrite the pages of these names, or all."""
    for page in [Path(name).resolve() for name in names] or pages():
        write(page)


if __name__ == "__main__":
    rewrite(sys.argv[1:])
