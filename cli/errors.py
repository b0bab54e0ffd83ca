"""`belvedere errors`: what could not be read or made."""

from __future__ import annotations

from pathlib import Path

import click

from .formats import Rows, show
from .options import examples, open_store, output, store_option


@click.command(epilog=examples("belvedere errors", "belvedere errors --csv > errors.csv"))
@output
@store_option
def command(form: str, folder: Path | None) -> None:
    """List what could not be read or made, and why.

    These are images, texts and whole units. A row without a number stands for a whole unit, which
    `belvedere fill --retry-failed` tries again.
    """
    answer = open_store(folder).sql("FROM errors")
    rows = Rows(answer.columns, answer.fetchall())
    if rows.values:
        show(rows, form, people=rows.narrowed(_told(rows)))
    elif form == "table":
        click.echo("no errors")
    else:
        show(rows, form)


def _told(rows: Rows) -> list[str]:
    """Leave out what only programs need, and columns without a value."""
    columns = zip(*rows.values, strict=True)
    told = {name for name, column in zip(rows.columns, columns, strict=True) if any(column)}
    return [name for name in rows.columns if name in told - {"unit", "time"} or name == "row"]
