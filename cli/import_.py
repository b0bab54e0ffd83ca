"""`belvedere import`: take in what others have computed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .import_labels import command as labels
from .options import examples, open_store, store_option


@click.group(
    epilog=examples(
        "belvedere import arrays rn50 saved/imagenet_rn50_layer4.pt --images val --module layer4",
        "belvedere import labels descriptions.csv --model rn50 --method clip-dissect --preview",
    )
)
def command() -> None:
    """Take in what others have computed, and keep where it is from."""


@command.command(
    epilog=examples(
        "belvedere import arrays rn50 saved/imagenet_rn50_layer4.pt --images val --module layer4",
        "belvedere import arrays b16-heads imagenet_attn_ViT-B-16.npy --images val --contributions heads",
    )
)
@click.argument("name")
@click.argument("file")
@click.option("--images", metavar="SET", required=True, help="The set whose images the rows are, in order.")
@click.option("--module", metavar="NAME", help="FILE has the activations of this module.")
@click.option(
    "--pool",
    type=click.Choice(["mean", "max", "cls"]),
    help="How they were pooled over positions. [default: mean]",
)
@click.option(
    "--contributions",
    type=click.Choice(["heads", "mlps", "class-token"]),
    help="FILE has contributions: the published code's attn, mlp or cls_attn file.",
)
@click.option("--key", metavar="KEY", help="Which tensor of several in FILE.")
@click.option("--note", metavar="TEXT", help="Where it comes from, in your words.")
@click.option("--narrow", is_flag=True, help="Round float64 that float32 does not hold exactly.")
@click.option("--absent-nan", is_flag=True, help="Take rows of NaN as images that could not be read.")
@click.option("--replace", is_flag=True, help="Let NAME stand for something else than before.")
@store_option
def arrays(name: str, file: str, folder: Path | None, **said: Any) -> None:
    """Take in the array in FILE, as the model NAME, which cannot run.

    FILE is .npy, .pt, .pth or .safetensors, with a row for each image of SET. Say what it holds with --module
    or with --contributions. It is kept in float32, never computed, and read like any other view.
    """
    if (said["module"] is None) == (said["contributions"] is None):
        raise click.UsageError("say what FILE holds: --module NAME, or --contributions KIND")
    from ..query.progress import Bar

    added = open_store(folder).import_arrays(name, file, **said, progress=Bar())
    dims, sizes = " × ".join(added.dims), " × ".join(f"{size:,}" for size in added.shape)
    click.echo(f"{added.view}: {dims} = {sizes}, {added.dtype} in the file")
    click.echo(f"{added.written} units written, {added.reused} reused")
    if added.absent:
        click.echo(f"{added.absent} rows are NaN; belvedere errors lists them", err=True)


command.add_command(labels, "labels")
