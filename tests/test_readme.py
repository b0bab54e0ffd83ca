"""Every block of the README runs and shows what really comes out, or says why it is not run."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

from click import Context

from belvedere.cli import main
from tests.readme import NOT_RUN, README, Shell, blocks, examples, run

LOOSE = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def test_the_readme_shows_what_really_comes_out(tmp_path: Path) -> None:
    shell, checker = Shell(tmp_path), doctest.OutputChecker()
    for match, kind in blocks(README.read_text()):
        for example in examples(kind, match.group(2)):
            found = run(shell, kind, example)
            assert checker.check_output(example.shown, found, LOOSE), (
                f"{example.source}\nshows\n{example.shown}\ninstead of\n{found}\n"
                "if that is right: python -m tests.readme"
            )


def test_every_block_is_run_or_says_why_not() -> None:
    text = README.read_text()
    for fence in re.finditer(r"^```(\w*)\n", text, re.MULTILINE):
        before = text[: fence.start()].rstrip().split("\n")[-1]
        assert fence.group(1) in ("console", "python", "") or before.startswith(NOT_RUN), fence.group()


def test_every_command_stands_in_the_readme() -> None:
    text = README.read_text()
    missing = [name for name in main.list_commands(Context(main)) if f"belvedere {name}" not in text]
    assert missing == []
