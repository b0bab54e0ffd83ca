"""`belvedere top`: the images at the top of a neuron or a head."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from .file_names import picture_name
from .formats import Rows, show
from .options import examples, inputs, open_store, output, store_option

SHOWN = ("direction", "rank", "image_id", "score", "activation", "label", "grp")
"""The columns for people, those that there are."""


@click.command(
    epilog=examples(
        "belvedere top 3.1",
        'belvedere top 3.1 --direction "component 0" --count 12 --out component.png',
        "belvedere top visual.transformer.resblocks.3.mlp.gelu:17 --csv",
    )
)
@click.argument("place", metavar="NEURON|HEAD")
@inputs
@click.option("--direction", metavar="TEXT", help="Only this description, or component, of the head.")
@click.option(
    "--count",
    type=click.IntRange(min=1),
    metavar="N",
    help="Images of the neuron [default: 12], or at each end of a direction [default: 6].",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Where to draw them. [default: a PNG file here, named for what it shows, and replaced if there]",
)
@click.option("--overwrite", is_flag=True, help="Take the place of the file that --out names.")
@click.option("--heat", is_flag=True, help="Show where in the pictures a head finds what a description says.")
@output
@store_option
def command(
    place: str,
    model: str | None,
    images: str | None,
    texts: str | None,
    direction: str | None,
    count: int | None,
    heat: bool,
    out: Path | None,
    overwrite: bool,
    form: str,
    folder: Path | None,
) -> None:
    """Show the images at the top of a neuron or of a head.

    A head is LAYER.HEAD, a neuron MODULE:NEURON. A head has a row for each of its first descriptions and
    principal components, with both ends of what it writes along it: ranks 0, 1, … count from the highest
    score, -1, -2, … from the lowest. What is missing is filled. The pictures go to a PNG file, the rows to
    stdout.
    """
    from ..query.progress import Bar
    from ..store import placing

    store = open_store(folder)
    if out is not None:
        placing.check(out, folder=False, overwrite=overwrite)
    found = store.top(
        place,
        model=model,
        images=images,
        texts=texts,
        direction=direction,
        count=count,
        heat=heat,
        progress=Bar(),
    )
    named = out or Path(file_name(dict(found.rows.iloc[0]), direction, heat=heat))
    path = found.sheet.save(named, overwrite=overwrite or out is None)
    rows = Rows.frame(found.rows)
    show(rows, form, people=rows.narrowed([name for name in SHOWN if name in rows.columns]))
    click.echo(f"the pictures are in {path}", err=True)


def file_name(row: Mapping[Any, Any], direction: str | None, *, heat: bool) -> str:
    """Name a file for what it shows.

    >>> file_name({"model": "clip", "image_set": "scenes", "layer": 3, "head": 1}, "component 0", heat=False)
    'clip-scenes-3.1-component-0.png'
    """
    place = f"{row['layer']}.{row['head']}" if "head" in row else f"{row['module']}-{row['neuron']}"
    return picture_name(row["model"], row["image_set"], place, direction, "heat" if heat else None)
