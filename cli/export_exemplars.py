"""`belvedere export exemplars`: the images at the top of neurons, in MILAN's layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .formats import encoded, size
from .options import computing, examples, open_store, parameters, store_option


@click.command(
    epilog=examples(
        "belvedere export exemplars --model rn50 --images val --module layer4 --out exemplars",
        "belvedere export exemplars --module layer4 --neuron 3 --neuron 17 -k 20 --out exemplars",
    )
)
@click.option("--model", metavar="NAME", help="The model's name; not needed where the store has one.")
@click.option("--images", metavar="NAME", help="The set of images' name; not needed where the store has one.")
@click.option("--module", metavar="NAME", required=True, help="The module whose neurons they are of.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    metavar="DIR",
    help="Write DIR/MODULE; DIR is made where there is none.",
)
@click.option(
    "--neuron",
    "neurons",
    type=int,
    multiple=True,
    metavar="N",
    help="Only this neuron, from 0. May be given several times.",
)
@click.option(
    "-k",
    "k",
    type=int,
    default=15,
    show_default=True,
    metavar="N",
    help="Images of each neuron, at most 100.",
)
@click.option(
    "--side", type=int, default=224, show_default=True, metavar="PIXELS", help="The side of each picture."
)
@parameters
@click.option("--overwrite", is_flag=True, help="Take the place of exemplars that are there.")
@computing
@click.option("--json", "as_json", is_flag=True, help="Print what was written as one JSON object on stdout.")
@store_option
def command(
    out: Path,
    neurons: tuple[int, ...],
    values: dict[str, Any],
    as_json: bool,
    folder: Path | None,
    **how: Any,
) -> None:
    """Write the images at the top of each neuron of a module, as MILAN and MAIA read them.

    DIR/MODULE has images.npy, masks.npy, ids.csv, activations.csv and units.npy. Masks are all ones. What is
    missing of top_images is computed first. The folder appears when it is whole.
    """
    from ..query.progress import Bar

    store = open_store(folder)
    done = store.export_exemplars(out, neurons=neurons or None, progress=Bar(), **how, **values)
    if as_json:
        names = ("neurons", "k", "side", "masked", "bytes")
        click.echo(encoded({"path": str(done.path), **{name: getattr(done, name) for name in names}}))
    else:
        what = f"{done.neurons:,} neurons, {done.k} images of {done.side} pixels each"
        click.echo(f"{done.path}: {what}, {size(done.bytes)}")
