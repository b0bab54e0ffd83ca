"""`belvedere gc`: remove what nobody needs and, where asked, what was used least recently."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from .formats import Rows, show, size
from .options import examples, open_store, output, store_option

if TYPE_CHECKING:
    from ..query.upkeep.collecting import Collected

COLUMNS = ("what", "count", "bytes", "used")


@click.command(
    epilog=examples(
        "belvedere gc",
        "belvedere gc --max-bytes 20GB --keep head_descriptions",
        "belvedere gc --older-than 30d --view token_contributions --yes",
    )
)
@click.option(
    "--max-bytes",
    metavar="SIZE",
    help="Give up units, the least recently used first, until the rest take no more: 500MB, 2GB.",
)
@click.option(
    "--older-than", metavar="DURATION", help="Give up units that were not used for so long: 30d, 12h."
)
@click.option(
    "--keep", multiple=True, metavar="VIEW", help="A view whose units stay. May be given several times."
)
@click.option(
    "--view",
    "views",
    multiple=True,
    metavar="VIEW",
    help="A view whose units alone may go, also imported ones. May be given several times.",
)
@click.option(
    "--grace",
    type=click.FloatRange(min=0),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="Leave temporary files, lists and pictures alone that are younger; 0 if nobody else uses the store.",
)
@click.option("--yes", is_flag=True, help="Do it; without this, only what would go is said.")
@output
@store_option
def command(
    max_bytes: str | None,
    older_than: str | None,
    keep: tuple[str, ...],
    views: tuple[str, ...],
    grace: float,
    yes: bool,
    form: str,
    folder: Path | None,
) -> None:
    """Remove what nobody needs, and what was not used for long.

    Nobody needs data of attempts that were not finished, damaged units, claims of processes that are gone,
    temporary files, and lists and pictures that no name needs. Any number of other processes may use the
    store meanwhile. A unit that is given up is missing again; those made from it stay ready. What was
    imported goes only where --view names its view.
    """
    found = open_store(folder).gc(
        max_bytes=max_bytes, older_than=older_than, keep=keep, views=views, grace=grace, dry_run=not yes
    )
    show(_rows(found), form, people=_readable(found))
    for note in _notes(found):
        click.echo(note, err=True)
    if not found.garbage and not found.units:
        click.echo("There is nothing to remove.", err=True)
    elif not yes:
        click.echo(f"Nothing is removed yet: --yes frees these {size(found.bytes)}.", err=True)


def _rows(found: Collected) -> Rows:
    lines = (*found.garbage, *found.units)
    return Rows(COLUMNS, [[each.what, each.count, each.bytes, each.used] for each in lines])


def _readable(found: Collected) -> Rows:
    garbage = [[each.what, each.count, size(each.bytes), None] for each in found.garbage]
    units = [
        [f"units of {each.what}", each.count, size(each.bytes), f"{each.used:%Y-%m-%d %H:%M}"]
        for each in found.units
    ]
    return Rows([*COLUMNS[:3], "last used"], [*garbage, *units])


def _notes(found: Collected) -> list[str]:
    """Say what was left alone, and what is still too much."""
    if not found.over:
        return list(found.notes)
    over = (
        f"{size(found.left)} of units stay, {size(found.over)} too much: the rest is kept (--keep), or goes "
    )
    return [*found.notes, over + "only where it is named (--view)"]
