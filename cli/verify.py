"""`belvedere verify`: read everything that a store keeps, and list what is damaged."""

from __future__ import annotations

from pathlib import Path

import click

from .entry import DONE, INCOMPLETE
from .formats import Rows, show, size
from .options import examples, output, store_option

COLUMNS = ("view", "unit", "path", "what")


@click.command(
    epilog=examples(
        "belvedere verify",
        "belvedere verify --deep",
        "belvedere verify --json",
    )
)
@click.option(
    "--deep",
    is_flag=True,
    help="Read image files and checkpoints too, decode all units, and check their keys.",
)
@output
@store_option
def command(deep: bool, form: str, folder: Path | None) -> None:
    """Compare everything that the store keeps with what was written.

    Units (their records and arrays or tables), names, lists of images and texts, kept pictures, recipes,
    failures, runs, the marker and the published catalog are read, and all damage is listed: what was
    removed, cut or changed. Damaged units count as missing from then on, and `belvedere fill` computes them
    again; damaged failures and runs are set aside. The exit code is then 1.

    --deep loads every model whose weights are a file or a folder here, which takes its time and memory.
    """
    from ..query.location import locate
    from ..query.upkeep.verify import verify_at

    found = verify_at(locate(folder), deep=deep, progress=True)
    if found.damage or form != "table":
        show(Rows(COLUMNS, [[getattr(each, name) for name in COLUMNS] for each in found.damage]), form)
    for remedy in dict.fromkeys(each.remedy for each in found.damage):
        kinds = ", ".join(dict.fromkeys(each.view for each in found.damage if each.remedy == remedy))
        click.echo(f"{kinds}: {remedy}", err=True)
    count = len(found.damage)
    lost = f"{count} {'object is' if count == 1 else 'objects are'} damaged"
    lost = lost if count else "all as they were written"
    read = f"{found.units} units, {size(found.bytes)}, {found.others} other objects"
    if deep:
        read += f", {found.images} image files, {found.models} checkpoints"
    click.echo(f"{read}: {lost}", err=True)
    click.get_current_context().exit(INCOMPLETE if found.damage else DONE)
