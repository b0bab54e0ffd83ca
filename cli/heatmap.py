"""`belvedere heatmap`: where in images heads find what a text says."""

from __future__ import annotations

from pathlib import Path

import click

from .file_names import picture_name
from .formats import Rows, show
from .options import examples, open_store, output, store_option


@click.command(
    epilog=examples(
        'belvedere heatmap scenes:12 --text "a circle"',
        'belvedere heatmap scenes:12 scenes:40 --text "a star" --contrast "a circle" --out stars.png',
        'belvedere heatmap scenes:12 --text "a star" --where "role = \'shape\'" --out map.npy',
        "belvedere heatmap scenes:12 --head 3.0",
    )
)
@click.argument("images", nargs=-1, required=True, metavar="SET:ID...")
@click.option("--text", "text", multiple=True, metavar="TEXT", help="What to look for. May be given again.")
@click.option(
    "--contrast",
    multiple=True,
    metavar="TEXT",
    help="Take this text's map away; of several, their mean. May be given again.",
)
@click.option(
    "--head", "--heads", "heads", multiple=True, metavar="HEADS", help="Only 3.1, or 3.*, or 2.0,3.1."
)
@click.option(
    "--where",
    metavar="PREDICATE",
    help="Only heads for which this holds, over layer, head and the columns of head_roles and "
    "head_descriptions.",
)
@click.option("--model", metavar="NAME", help="The model's name; not needed where the store has one.")
@click.option("--texts", metavar="NAME", help="The set of texts' name, for roles and descriptions.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="A .png to draw, or a .npy of the maps, image × text × y × x in patches. [default: a PNG file here, "
    "named for what it shows, and replaced if there]",
)
@click.option("--overwrite", is_flag=True, help="Take the place of the file that --out names.")
@output
@store_option
def command(
    images: tuple[str, ...],
    text: tuple[str, ...],
    contrast: tuple[str, ...],
    heads: tuple[str, ...],
    where: str | None,
    model: str | None,
    texts: str | None,
    out: Path | None,
    overwrite: bool,
    form: str,
    folder: Path | None,
) -> None:
    """Show where in images heads find what TEXT says, any text.

    The heat of a patch is what heads add to the image's embedding from it along TEXT: all heads of all
    layers, unless some are named. Without --text and with one --head, each image is shown by those of the
    head's descriptions that its contribution is most and least along. What is missing is filled. One map is
    drawn at the size of its picture, several on a sheet.
    """
    from ..query.progress import Bar
    from ..store import placing

    store = open_store(folder)
    if out is not None:
        placing.check(out, folder=False, overwrite=overwrite)
    found = store.heatmap(
        images,
        list(text) or None,
        contrast=list(contrast) or None,
        heads=",".join(heads) or None,
        where=where,
        model=model,
        texts=texts,
        progress=Bar(),
    )
    less = ["less", *contrast] if contrast else []
    named = picture_name("heat", model, *images, *text, *less, *heads, where, texts)
    path = found.save(out or Path(named), overwrite=overwrite or out is None)
    show(Rows.frame(found.rows), form)
    what = "maps are" if path.suffix.lower() == ".npy" else "pictures are"
    click.echo(f"the {what} in {path}", err=True)
