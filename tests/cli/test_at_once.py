"""Two terminals and a DuckDB shell at once on one store: all get on, and nobody hears of a lock."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import duckdb

import belvedere
from tests import forked
from tests.shell import SCENES

ROLES = "SELECT layer, head, role FROM head_roles WHERE layer = 1 ORDER BY ALL"
FIRSTS = "SELECT layer, head, description FROM head_descriptions WHERE rank = 0 ORDER BY ALL"
COMMANDS: Sequence[tuple[tuple[str, ...], set[int]]] = (
    (("fill", "head_roles"), {0}),
    (("sql", FIRSTS, "--fill", "--csv"), {0}),
    (("worker", "head_roles"), {0}),
    (("sql", ROLES, "--csv"), {0, 1}),
    (("publish",), {0}),
)
"""What is typed, and how it may end: only a question that computes nothing may be answered in part."""


def test_nothing_ever_says_that_a_database_is_locked(bare: Path, elsewhere: None) -> None:
    belvedere.open(bare).publish()
    running = []
    try:
        with duckdb.connect(
            bare / "catalog.duckdb"
        ) as shell:  # as `duckdb catalog.duckdb` opens it: to write
            running = [forked.belvedere(*words, "--store", str(bare)) for words, _ in COMMANDS]
            ended = [program.ended() for program in running]
            assert shell.execute("SELECT count(*) FROM images").fetchall() == [(SCENES,)]
    finally:
        for program in running:
            program.kill()
    for (words, may), done in zip(COMMANDS, ended, strict=True):
        assert done.returncode in may, f"{words}: {done}"
        assert "lock" not in f"{done.stdout}{done.stderr}".lower()
    store = belvedere.open(bare)
    whole = store.sql(ROLES, require_complete=True).fetchall()
    assert len(ended[1].stdout.splitlines()) == len(store.sql(FIRSTS, require_complete=True)) + 1
    store.publish()
    with duckdb.connect(bare / "catalog.duckdb", read_only=True) as con:
        assert con.execute(ROLES).fetchall() == whole
    assert store.verify(progress=False).damage == ()
