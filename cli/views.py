"""`belvedere views`: what can be asked of a store."""

from __future__ import annotations

from pathlib import Path

import click

from ..store.errors import NotAStore
from .formats import Rows, show
from .options import examples, open_store, output, store_option

COLUMNS = ("view", "kind", "inputs", "parameters", "holds", "summary")


@click.command(
    epilog=examples(
        "belvedere views",
        "belvedere views --json",
    )
)
@output
@store_option
def command(form: str, folder: Path | None) -> None:
    """List every view, and every declared one.

    Arrays are read in Python, and in SQL where they have columns; tables in both. Columns and parameters
    are left out of the table; --json has them. Views of other packages stand after Belvedere's own, and
    declared ones after those. What a package names and cannot be used is said on stderr, with the reason.
    """
    from ..compute.views import broken_views
    from ..query.sql.catalog import views

    try:
        rows = open_store(folder).views()
    except NotAStore:
        if folder is not None:
            raise
        rows = views()  # there is no store here: those that any store has
    found = Rows.of(COLUMNS, rows)
    show(found, form, people=found.narrowed(("view", "kind", "inputs", "summary")))
    for each in broken_views().values():
        click.echo(f"broken: {each.name} of {' and of '.join(each.packages)}: {each.reason}", err=True)
