"""Every block of the README and of docs/ runs and shows what really comes out, or says why it is not run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click import Context

from belvedere.cli import main
from tests import readme
from tests.readme import (
    NOT_RUN,
    PROMPT,
    ROOT,
    Shell,
    blocks,
    examples,
    is_excused,
    is_shown,
    pages,
    run,
    texts,
)

FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", pages(), ids=named)
def test_a_page_shows_what_really_comes_out(page: Path, tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    for match, kind in blocks(page.read_text()):
        for example in examples(kind, match.group(2)):
            found = run(shell, kind, example)
            assert is_shown(example.shown, found), (
                f"{example.source}\nshows\n{example.shown}\ninstead of\n{found}\n"
                f"if that is right: python -m tests.readme {named(page)}"
            )


@pytest.mark.parametrize("page", texts(), ids=named)
def test_every_block_is_run_or_says_why_not(page: Path) -> None:
    text = page.read_text()
    for fenced in FENCED.finditer(text):
        kind, block = fenced.groups()
        runs = not kind or (kind in ("console", "python") and PROMPT.search(block))
        assert runs or is_excused(text, fenced.start()), fenced.group()


def test_pages_with_prompts_are_found_and_others_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```python\n>>> 1 + 1\n3\n```\n\n```python\nx = 1\n```\n\n```console\n$ echo a\nb\n```\n")
    assert [kind for _, kind in blocks(page.read_text())] == ["python", "console"]
    readme.rewrite([str(page)])
    assert page.read_text() == (
        "```python\n>>> 1 + 1\n2\n```\n\n```python\nx = 1\n```\n\n```console\n$ echo a\na\n```\n"
    )
    skipped = f"{NOT_RUN} it is long -->\n```python\n>>> 1\n```\n"
    assert list(blocks(skipped)) == []


def test_every_command_stands_on_its_page() -> None:
    text = (ROOT / "docs" / "commands.md").read_text()
    missing = [name for name in main.list_commands(Context(main)) if f"belvedere {name}" not in text]
    assert missing == []


def test_last_digits_that_hang_on_the_processor_may_differ_and_no_others() -> None:
    assert is_shown("17,0.8595953583717346,ring\n", "17,0.8595952987670898,ring\n")
    assert not is_shown("17,0.8595953583717346,ring\n", "17,0.8596953583717346,ring\n")
    assert not is_shown("17,0.8595953583717346,ring\n", "18,0.8595953583717346,ring\n")
    assert is_shown("0.8594 0.859\n", "0.8599 0.860\n")
    assert not is_shown("0.8594\n", "0.8600\n")
    assert not is_shown("0.859\n", "0.861\n")
    assert not is_shown("0.85\n", "0.86\n")
    assert is_shown("[1.5]  ...\n", "[1.5] anything\n")
