"""`belvedere sql`: one SELECT over the tables of a store."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .entry import DONE, INCOMPLETE
from .formats import Rows, show
from .options import examples, open_store, output, store_option, values

if TYPE_CHECKING:
    from ..query.answer import Answer
    from ..query.completeness import Completeness


@click.command(
    epilog=examples(
        'belvedere sql "SELECT layer, head, role FROM head_roles WHERE p_value < 0.01"',
        'belvedere sql "FROM images WHERE label = $kind" -p kind star --csv',
        "belvedere sql - --json < question.sql",
    )
)
@click.argument("query")
@values("The value of $NAME in the statement.")
@click.option("--require-complete", is_flag=True, help="Give no rows at all rather than not all of them.")
@output
@store_option
def command(
    query: str,
    values: dict[str, Any],
    require_complete: bool,
    form: str,
    folder: Path | None,
) -> None:
    """Answer one SELECT statement over the tables of a store.

    QUERY is a statement in DuckDB's SQL that starts with SELECT, FROM or WITH; `-` reads it from stdin.
    Its tables are the views that are tables, and models, image_sets, images, text_sets, texts, views,
    units, errors and runs. Nothing is computed: where rows are missing, stderr says which, and the exit
    code is 1.
    """
    statement = sys.stdin.read() if query == "-" else query
    answer = open_store(folder).sql(statement, values or None, require_complete=require_complete)
    show(_rows(answer), form)
    if answer.completeness.views or answer.completeness.empty:
        click.echo(_said(answer.completeness), err=True)
    click.get_current_context().exit(DONE if answer.completeness.complete else INCOMPLETE)


def _rows(answer: Answer) -> Rows:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the answer is incomplete is said on stderr, with a remedy
        rows: list[tuple[Any, ...]] = answer.fetchall()
    return Rows(answer.columns, rows)


def _said(completeness: Completeness) -> str:
    if not completeness.complete:
        return f"incomplete: {completeness} (belvedere fill NAME computes what is missing)"
    counts = [f"{name} {each.ready} of {each.needed} units" for name, each in completeness.views.items()]
    return f"complete: {', '.join(counts)}"
