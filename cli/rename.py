"""`belvedere rename`: let a new name stand for what an old one does."""

from __future__ import annotations

from pathlib import Path

import click

from .options import examples, open_store, store_option
from .remove import kind_and_names


@click.command(
    epilog=examples(
        "belvedere rename photos holidays",
        "belvedere rename images photos holidays",
    )
)
@click.argument("words", nargs=-1, required=True, metavar="[KIND] OLD NEW")
@store_option
def command(words: tuple[str, ...], folder: Path | None) -> None:
    """Let NEW stand for what OLD does, and OLD for nothing.

    What was filled under OLD is found under NEW, and declared views of OLD are
    of NEW; statements stay as they were written. KIND (model, images, texts,
    captioner, language, painter, judge) is needed only where OLD stands for several.
    """
    kind, (old, new) = kind_and_names(words, 2)
    open_store(folder).rename(old, new, kind)
    click.echo(f"{old} is {new} now")
