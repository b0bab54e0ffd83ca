"""`belvedere describe`: the heads that write about a text."""

from __future__ import annotations

from pathlib import Path

import click

from .formats import Rows, show
from .options import examples, inputs, open_store, output, store_option

SHOWN = ("layer", "head", "role", "score", "share", "variance", "mean")
"""The columns for people; `text` comes before them where several were asked for."""


@click.command(
    epilog=examples(
        'belvedere describe "striped things"',
        'belvedere describe "a beach" "the sea" --texts general --count 3 --json',
    )
)
@click.argument("text", nargs=-1, required=True, metavar="TEXT...")
@inputs
@click.option(
    "--count",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    metavar="N",
    help="So many heads for each text.",
)
@output
@store_option
def command(
    text: tuple[str, ...],
    model: str | None,
    images: str | None,
    texts: str | None,
    count: int,
    form: str,
    folder: Path | None,
) -> None:
    """Rank the heads by how far they write about TEXT, any text.

    score is the share of a head's variance along what tells TEXT from the texts of --texts; share,
    variance and mean are those along TEXT itself. No image goes through the model but to fill
    head_moments. role is shown where head_roles is kept.
    """
    from ..query.progress import Bar

    every = open_store(folder).heads_for(text, model=model, images=images, texts=texts, progress=Bar())
    found = every.groupby("text", sort=False)
    rows = Rows.frame(found.head(count))
    show(rows, form, people=rows.narrowed([*("text",) * (found.ngroups > 1), *SHOWN]))
