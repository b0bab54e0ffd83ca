"""`belvedere bench`: how fast a model and some pictures are on this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from .entry import INTERRUPTED
from .formats import Rows, show, size
from .options import examples, output

if TYPE_CHECKING:
    from ..compute.running.measured import Measured

COLUMNS = ("what", "count", "seconds", "per_second", "ratio", "bytes_each")


@click.command(
    epilog=examples(
        "belvedere bench demo:clip demo:scenes[:512]",
        "belvedere bench open_clip:ViT-L-14/openai ~/photos --precision bfloat16 --batch-size 128",
        "belvedere bench open_clip:ViT-B-32 ~/photos --checkpoint b32.pt --out b32.json",
    )
)
@click.argument("model", metavar="MODEL")
@click.argument("images", metavar="IMAGES")
@click.option("--checkpoint", metavar="FILE", help="The weights, where MODEL names none.")
@click.option(
    "--precision",
    type=click.Choice(["float32", "float16", "bfloat16"]),
    default="float32",
    show_default=True,
    help="What the model computes in.",
)
@click.option("--count", type=click.IntRange(min=2), default=256, show_default=True, help="How many images.")
@click.option(
    "--batch-size", type=click.IntRange(min=1), help="Images in one pass.  [default: what a fill takes]"
)
@click.option("--device", help="Where to run, such as cpu or cuda:0.  [default: a GPU where there is one]")
@click.option("--compile", "compiled", is_flag=True, help="Let torch compile parts of the tower for filling.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the figures there as JSON, with the day, the machine and the versions.",
)
@click.option("--overwrite", is_flag=True, help="Take the place of the file that --out names.")
@output
def command(
    model: str,
    images: str,
    checkpoint: str | None,
    precision: Literal["float32", "float16", "bfloat16"],
    count: int,
    batch_size: int | None,
    device: str | None,
    compiled: bool,
    out: Path | None,
    overwrite: bool,
    form: str,
) -> None:
    """Time a model on pictures: decoding, filling, reading, SQL.

    MODEL and IMAGES are sources, as `add model` and `add images` take them; no store is needed, and none is
    written to. `ratio` compares filling with decoding and the plain forward pass of as many images: with
    both, one after the other, on a processor, whose cores they share, and with the slower one on a GPU.
    """
    from ..query.benching import bench
    from ..store import placing

    if out is not None:
        placing.check(out, folder=False, overwrite=overwrite)
    try:
        found = bench(
            model,
            images,
            checkpoint=checkpoint,
            precision=precision,
            count=count,
            batch_size=batch_size,
            device=device,
            compiled=compiled,
            tell=lambda row: click.echo(f"{row.what}: {row.per_second:,.1f} a second", err=True),
        )
    except KeyboardInterrupt:
        click.echo("Interrupted: nothing is kept but the lines above.", err=True)
        click.get_current_context().exit(INTERRUPTED)
    if out is not None:
        out.write_text(json.dumps(found.facts(), indent=2) + "\n", encoding="utf-8")
    show(
        Rows(COLUMNS, [_values(row) for row in found.rows]),
        form,
        people=Rows(COLUMNS, [_people(row) for row in found.rows]),
    )


def _values(row: Measured) -> list[object]:
    return [row.what, row.count, row.seconds, row.per_second, row.ratio, row.bytes_each]


def _people(row: Measured) -> list[object]:
    kept = None if row.bytes_each is None else size(row.bytes_each)
    ratio = None if row.ratio is None else f"{row.ratio:.2f}"
    return [row.what, row.count, f"{row.seconds:.3f}", f"{row.per_second:,.1f}", ratio, kept]
