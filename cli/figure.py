"""`belvedere figure`: a picture of what the store holds, for a page or a paper."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .options import examples, inputs, open_store, parameters, store_option

KINDS = ("heads", "head", "neuron", "ablation", "textsets", "segmentation")


@click.command(
    epilog=examples(
        "belvedere figure heads heads.png",
        "belvedere figure head head.svg --of 3.1",
        "belvedere figure neuron neuron.png --of fc:25 --model net",
        "belvedere figure textsets curves.svg -p classes classes",
        'belvedere figure ablation zero.png --texts classes -p heads "layer = 3" -p mode zero',
    )
)
@click.argument("kind", type=click.Choice(KINDS))
@click.argument("dest", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--of", "place", metavar="NEURON|HEAD", help="The head (LAYER.HEAD) or neuron (MODULE:NEURON).")
@inputs
@parameters
@click.option("--overwrite", is_flag=True, help="Take the place of the file DEST.")
@store_option
def command(
    kind: str,
    dest: Path,
    place: str | None,
    model: str | None,
    images: str | None,
    texts: str | None,
    values: dict[str, Any],
    overwrite: bool,
    folder: Path | None,
) -> None:
    """Draw a figure of what the store holds.

    DEST ends in .png or .svg. heads: what each writes about; head: one of them; neuron: one of a module;
    ablation: accuracy with parts taken away, and conditions on heads that are kept, or the one of
    -p heads; textsets: accuracy by the number of texts a head; segmentation: all methods. The last three
    take the parameters of their views. What is missing is filled.
    """
    from ..query.figures.draw import KINDS as VIEWS
    from ..query.resolve import read

    named = read(VIEWS[kind], values)
    names = {"model": model, "images": images, "texts": texts}
    path = open_store(folder).figure(kind, dest, place=place, **names, overwrite=overwrite, **named)
    click.echo(f"the figure is in {path}")
