"""`belvedere sql`: one SELECT over the tables of a store."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .entry import DONE, FAILED, INCOMPLETE
from .formats import Rows, show
from .options import budget, computing, examples, open_store, output, renew, store_option, values

if TYPE_CHECKING:
    from ..query.completeness import Completeness
    from ..query.sql.answer import Answer


@click.command(
    epilog=examples(
        'belvedere sql "SELECT layer, head, role FROM head_roles WHERE p_value < 0.01"',
        'belvedere sql "FROM images WHERE label = $kind" -p kind star --csv',
        'belvedere sql "SELECT description FROM head_descriptions WHERE layer = 11" --fill',
        "belvedere sql - --json < question.sql",
    )
)
@click.argument("query")
@values("The value of $NAME in the statement.")
@click.option("--fill", is_flag=True, help="Compute what is missing and the statement can touch.")
@click.option(
    "--in-memory", is_flag=True, help="Keep what --fill computes in memory, and write nothing to the store."
)
@click.option("--require-complete", is_flag=True, help="Give no rows at all rather than not all of them.")
@budget
@computing
@output
@store_option
def command(
    query: str,
    values: dict[str, Any],
    in_memory: bool,
    form: str,
    folder: Path | None,
    **asked: Any,
) -> None:
    """Answer one SELECT over the views and tables of a store.

    QUERY is a statement in DuckDB's SQL that starts with SELECT, FROM or WITH; `-` reads it from stdin.
    Its tables are the views (arrays have a row for each vector or cell), and models, image_sets, images,
    text_sets, texts, views, units, errors and runs. Nothing is computed unless --fill is given: where rows
    are missing, stderr says which, and the exit code is 1. With --fill the units are computed that the
    statement can touch: its filters leave units out, and a LIMIT without ORDER BY stops early. Exit code
    3 says that some could not be made. `belvedere plan --sql QUERY` says what would run.
    """
    statement = sys.stdin.read() if query == "-" else query
    store = open_store(folder, memory=in_memory)
    answer = store.sql(statement, values or None, **asked)
    show(_rows(answer), form)
    found = answer.completeness
    if any(each.filled for each in found.views.values()):
        renew(store)
    if found.views:
        click.echo(_said(found, filling=asked["fill"]), err=True)
    lacking = FAILED if asked["fill"] and any(each.missing for each in found.views.values()) else INCOMPLETE
    click.get_current_context().exit(DONE if found.complete else lacking)


def _rows(answer: Answer) -> Rows:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the answer is incomplete is said on stderr, with a remedy
        rows: list[tuple[Any, ...]] = answer.fetchall()
    return Rows(answer.columns, rows)


def _said(completeness: Completeness, *, filling: bool) -> str:
    if not completeness.complete:
        why = "; ".join(completeness.reasons) or "belvedere errors says why"
        ways = why if filling else "--fill computes what is missing"
        hint = f" ({ways})" if any(each.missing for each in completeness.views.values()) else ""
        return f"incomplete: {completeness}{hint}"
    counts = [
        f"{name} {each.ready} of {each.needed} units{f', {each.filled} just filled' if each.filled else ''}"
        for name, each in completeness.views.items()
    ]
    return f"complete: {'; '.join(counts)}"
