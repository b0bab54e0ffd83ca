"""`belvedere plan`: what a fill would compute."""

from __future__ import annotations

from pathlib import Path

import click

from .asked import asked, where_option
from .formats import Rows, show
from .options import examples, inputs, open_store, output, parameters, store_option

COLUMNS = ("view", "wanted", "reused", "units", "passes", "images", "bytes", "seconds", "by_view")


@click.command(
    epilog=examples(
        "belvedere plan head_roles",
        'belvedere plan head_descriptions --texts general --where "layer >= 8" --json',
    )
)
@click.argument("view")
@inputs
@where_option
@parameters
@output
@store_option
def command(
    view: str,
    model: str | None,
    images: str | None,
    texts: str | None,
    where: str | None,
    values: dict[str, str],
    form: str,
    folder: Path | None,
) -> None:
    """Say what `belvedere fill VIEW` would compute, and compute nothing."""
    lazy = asked(open_store(folder), view, where, model=model, images=images, texts=texts, values=values)
    found = lazy.plan()
    if form == "table":
        click.echo(found)
        return
    facts = {name: getattr(found, name) for name in COLUMNS[1:-1]}
    show(Rows.of(COLUMNS, [{"view": view, **facts, "by_view": found.by_view()}]), form)
