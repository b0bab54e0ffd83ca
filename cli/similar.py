"""`belvedere similar`: the images nearest to an image or to a text, as some heads see them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import click

from .file_names import picture_name
from .formats import Rows, show
from .options import examples, open_store, output, store_option

SHOWN = ("rank", "image_id", "score", "label", "grp")
"""The columns for people."""


@click.command(
    epilog=examples(
        "belvedere similar 17 --heads \"role = 'colour'\"",
        "belvedere similar 17 --heads 3.1 --measure dot --count 20 --out alike.png",
        'belvedere similar "a beach at night" --heads "layer >= 8" --csv',
    )
)
@click.argument("to", metavar="IMAGE|TEXT")
@click.option(
    "--heads",
    "--where",
    "heads",
    metavar="CONDITION",
    help="Which heads: LAYER.HEAD, or a condition. [default: all]",
)
@click.option("--model", metavar="NAME", help="The model's name; not needed where the store has one.")
@click.option(
    "--images", metavar="NAME", help="The images to search; not needed where the store has one set."
)
@click.option(
    "--measure",
    type=click.Choice(["cosine", "dot"]),
    default="cosine",
    show_default=True,
    help="The cosine of what the heads write, or the inner product.",
)
@click.option(
    "--count", type=click.IntRange(min=1), default=12, show_default=True, metavar="N", help="So many images."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Where to draw them. [default: a PNG file here, named for what it shows, and replaced if there]",
)
@click.option("--overwrite", is_flag=True, help="Take the place of the file that --out names.")
@click.option("--text", "is_text", is_flag=True, help="A number is a text, too, and no image.")
@output
@store_option
def command(
    to: str,
    heads: str | None,
    model: str | None,
    images: str | None,
    measure: Literal["cosine", "dot"],
    count: int,
    out: Path | None,
    overwrite: bool,
    is_text: bool,
    form: str,
    folder: Path | None,
) -> None:
    """Show the images most alike to an image or text.

    IMAGE is the number of an image of the set that is searched, TEXT any text. The condition of --heads
    is SQL over the columns of head_roles and head_descriptions, or the name of a declared table of heads.
    What is missing is filled. The pictures go to a PNG file, the rows to stdout.
    """
    from ..query.progress import Bar
    from ..store import placing

    store = open_store(folder)
    if out is not None:
        placing.check(out, folder=False, overwrite=overwrite)
    found = store.similar(
        int(to) if re.fullmatch(r"-?\d+", to) and not is_text else to,
        heads=heads,
        model=model,
        images=images,
        measure=measure,
        count=count,
        progress=Bar(),
    )
    named = picture_name(
        *("similar", model, images, "text" if is_text else None, to, heads),
        None if measure == "cosine" else measure,
    )
    path = found.sheet.save(out or Path(named), overwrite=overwrite or out is None)
    rows = Rows.frame(found.rows)
    show(rows, form, people=rows.narrowed(SHOWN))
    click.echo(f"the pictures are in {path}", err=True)
