"""`belvedere export`: a plain copy of a view, for other programs."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .asked import asked, where_option
from .formats import encoded, size
from .options import computing, examples, inputs, open_store, parameters, store_option

if TYPE_CHECKING:
    from ..query.exchange.export import Exported
    from ..query.lazy.array import LazyArray

FORMS = ("zarr", "npy", "safetensors", "parquet", "csv")
LISTED = 10
"""So many rows without values are said one by one."""


class ViewOrExemplars(click.Command):
    """Exports views, and hands `exemplars`, which are no view, to a command of their own."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Read the words; those after `exemplars` are the other command's."""
        if args[:1] != ["exemplars"]:
            return super().make_context(info_name, args, parent, **extra)
        from .export_exemplars import command as exemplars

        return exemplars.make_context(f"{info_name} exemplars", args[1:], parent, **extra)


@click.command(
    cls=ViewOrExemplars,
    epilog=examples(
        "belvedere export head_contributions heads.zarr",
        'belvedere export head_contributions last.npy --select "image=0:1000,layer=-1"',
        "belvedere export image_embeddings embeddings.parquet --missing raise",
        'belvedere export head_descriptions texts.csv --where "layer >= 8 AND rank < 3"',
        "belvedere export exemplars --module layer4 --out exemplars    (see its own --help)",
    ),
)
@click.argument("view")
@click.argument("dest", type=click.Path(path_type=Path))
@inputs
@click.option(
    "--select",
    default="",
    metavar="AXES",
    help="Only a part of an array: image=0:1000,layer=-1,head=0,3.",
)
@where_option
@parameters
@click.option(
    "--format", "chosen", type=click.Choice(FORMS), help="The format, where DEST does not end in it."
)
@click.option(
    "--missing",
    type=click.Choice(["fill", "raise"]),
    default="fill",
    show_default=True,
    help="Compute what is missing, and write NaN for what cannot be read; or refuse.",
)
@click.option("--overwrite", is_flag=True, help="Take the place of what is there.")
@computing
@click.option("--json", "as_json", is_flag=True, help="Print what was written as one JSON object on stdout.")
@store_option
def command(
    view: str,
    dest: Path,
    model: str | None,
    images: str | None,
    texts: str | None,
    select: str,
    where: str | None,
    values: dict[str, Any],
    chosen: str | None,
    as_json: bool,
    folder: Path | None,
    **how: Any,
) -> None:
    """Write a plain copy of VIEW to DEST, for other programs.

    An array goes to .zarr (a folder, with coordinates), .npy, .safetensors or .parquet (a row for each
    vector); a table to .parquet or .csv. What is missing is computed first. DEST appears when it is whole.
    Images and texts that could not be read keep their places, as NaN (in Parquet null), and stderr lists
    them; --missing raise refuses them. The word exemplars in VIEW's place is a command of its own: the images
    at the top of neurons, as MILAN reads them.
    """
    from ..query.lazy.array import LazyArray
    from ..query.progress import Bar

    lazy: Any = asked(open_store(folder), view, where, model=model, images=images, texts=texts, values=values)
    if isinstance(lazy, LazyArray):
        how["select"] = select
        click.echo(_planned(lazy, select), err=True)
    elif select:
        raise click.UsageError(
            f"--select narrows views that are arrays; {view} is a table: --where narrows it"
        )
    _tell(lazy.export(dest, form=chosen, progress=Bar(), **how), as_json=as_json)


def _planned(lazy: LazyArray, select: str) -> str:
    """Say what will be written, and how large that is, before anything is computed."""
    part = lazy.part(select)
    nbytes = prod(part.shape) * lazy.dtype.itemsize
    return f"{lazy.title}: {_axes(part.dims, part.shape)}, {lazy.dtype}, {size(nbytes)} dense"


def _axes(dims: tuple[str, ...], shape: tuple[int, ...]) -> str:
    return " × ".join(f"{length:,} {name}" for name, length in zip(dims, shape, strict=True)) or "1 number"


def _tell(done: Exported, *, as_json: bool) -> None:
    if done.absent:
        told = [f"  {place}: {reason}" for place, reason in list(done.absent.items())[:LISTED]]
        more = [f"  … and {len(done.absent) - LISTED:,} more"] if len(done.absent) > LISTED else []
        head = (
            f"{len(done.absent):,} rows could not be read, and have no values (belvedere errors lists them):"
        )
        click.echo("\n".join([head, *told, *more]), err=True)
    if as_json:
        names = ("view", "form", "columns", "shape", "dtype", "bytes", "absent")
        click.echo(encoded({"path": str(done.path), **{name: getattr(done, name) for name in names}}))
    elif done.dtype is None:
        click.echo(f"{done.path}: {done.shape[0]:,} rows, {len(done.columns)} columns")
    else:
        axes = _axes(done.columns, done.shape)
        click.echo(f"{done.path}: {axes}, {done.dtype}")
