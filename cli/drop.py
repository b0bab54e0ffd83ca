"""`belvedere drop`: let a declared name stand for nothing any more."""

from __future__ import annotations

from pathlib import Path

import click

from .options import examples, open_store, store_option


@click.command(epilog=examples("belvedere drop clear_heads", "belvedere drop clear_heads --yes"))
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do it; without this, only say what NAME stands for.")
@store_option
def command(name: str, yes: bool, folder: Path | None) -> None:
    """Take back a declared NAME.

    Without --yes only what it stands for is said.

    What was kept of it stays until `belvedere gc` collects it, and is found again if NAME is declared as the
    same once more.
    """
    found = open_store(folder).drop(name, dry_run=not yes)
    if yes:
        click.echo(f"dropped {name}: {found.meaning}")
    else:
        click.echo(f"{name}: {found.meaning}\nnothing was dropped; belvedere drop {name} --yes does it")
