"""`belvedere verify`: read all units, and all lists of images and texts."""

from __future__ import annotations

from pathlib import Path

import click

from .entry import DONE, INCOMPLETE
from .formats import Rows, show, size
from .options import examples, open_store, output, store_option

COLUMNS = ("view", "unit", "path", "what")


@click.command(
    epilog=examples(
        "belvedere verify",
        "belvedere verify --json",
    )
)
@output
@store_option
def command(form: str, folder: Path | None) -> None:
    """Compare all units and lists of sets with what was written.

    Units are their records and their arrays or tables; what names stand for, recipes, failures and the
    rows of runs are not read. What is damaged is listed and counts as missing from then on; the exit code
    is then 1, and `belvedere fill` computes those units again.
    """
    found = open_store(folder).verify()
    if found.damage or form != "table":
        show(Rows(COLUMNS, [[getattr(each, name) for name in COLUMNS] for each in found.damage]), form)
    lost = f"{len(found.damage)} objects are damaged" if found.damage else "all as they were written"
    click.echo(f"{found.units} units, {size(found.bytes)}: {lost}", err=True)
    click.get_current_context().exit(INCOMPLETE if found.damage else DONE)
