"""`belvedere publish`: what is complete, for programs and people that need no Belvedere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from .formats import encoded, size
from .options import examples, inputs, open_store, parameters, store_option

if TYPE_CHECKING:
    from ..query.exchange.publish import Published

THUMBNAILS = 1000


@click.command(
    epilog=examples(
        "belvedere publish",
        "belvedere publish results --array head_contributions --model b16 --images photos",
        "belvedere publish results --array neuron_activations -p module layer4 --thumbnails 200",
    )
)
@click.argument("dest", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
@click.option(
    "--array", "arrays", multiple=True, metavar="VIEW", help="Put an array into DIR, too. Several may be."
)
@inputs
@parameters
@click.option(
    "--thumbnails",
    type=click.IntRange(min=0),
    metavar="N",
    help=f"Thumbnails in DIR of so many images of each set. [default: {THUMBNAILS}]",
)
@click.option("--no-thumbnails", "bare", is_flag=True, help="No thumbnails in DIR.")
@click.option("--overwrite", is_flag=True, help="Take the place of the bundle that is in DIR.")
@click.option("--json", "as_json", is_flag=True, help="Print what was written as one JSON object on stdout.")
@store_option
def command(
    dest: Path | None,
    arrays: tuple[str, ...],
    model: str | None,
    images: str | None,
    texts: str | None,
    values: dict[str, str],
    thumbnails: int | None,
    bare: bool,
    overwrite: bool,
    as_json: bool,
    folder: Path | None,
) -> None:
    """Write complete tables as a DuckDB file, or as a folder DIR.

    The file is catalog.duckdb in the store, read by the duckdb shell and every other DuckDB tool. It has all
    tables whose units are there, sorted, and the table `completeness`; belvedere fill renews it from then
    on. DIR has that, each table as Parquet, the named arrays as Zarr, thumbnails, and a page that says how
    to open them; the inputs and parameters are those of the arrays. Nothing is computed.
    """
    from ..compute.views import view_class
    from ..query.progress import Bar
    from ..query.resolve import needed_inputs, read
    from ..query.resolve import parameters as known

    if dest is None and (arrays or thumbnails is not None or bare or overwrite):
        raise click.UsageError("arrays and thumbnails go into a folder; name one: belvedere publish DIR")
    if thumbnails is not None and bare:
        raise click.UsageError("--thumbnails and --no-thumbnails say different things; give one of the two")
    if not arrays and (values or model or images or texts):
        raise click.UsageError("inputs and parameters are those of arrays; name one with --array VIEW")
    store = open_store(folder)
    given = {"model": model, "images": images, "texts": texts}
    chosen = []
    for view in arrays:
        cls = view_class(view)
        own = {field.name for field in known(cls)}
        taken = {name: text for name, text in values.items() if len(arrays) == 1 or name in own}
        asked = {kind: given[kind] for kind in (needed_inputs(cls) if len(arrays) > 1 else given)}
        chosen.append(store.view(view, **asked, **read(view, taken)))
    count = 0 if bare else THUMBNAILS if thumbnails is None else thumbnails
    done = store.publish(dest, arrays=chosen, thumbnails=count, overwrite=overwrite, progress=Bar())
    _tell(done, as_json=as_json)


def _tell(done: Published, *, as_json: bool) -> None:
    for each in done.left_out:
        click.echo(f"not complete, and so left out: {each} (belvedere status says more)", err=True)
    if done.unreadable:
        click.echo(f"{done.unreadable} images could not be read, and have no thumbnail", err=True)
    if as_json:
        names = ("tables", "made", "left_out", "bytes", "arrays", "thumbnails", "unreadable")
        click.echo(encoded({"path": str(done.path), **{name: getattr(done, name) for name in names}}))
        return
    rows = sum(done.tables.values())
    what = [f"{len(done.tables)} tables, {rows:,} rows"]
    what += [f"{len(done.arrays)} array{'s' * (len(done.arrays) > 1)}"] if done.arrays else []
    what += [f"{done.thumbnails:,} thumbnails"] if done.thumbnails else []
    news = "" if done.made else "; nothing has changed since it was published"
    click.echo(f"{done.path.name}: {', '.join(what)}, {size(done.bytes)}{news}")
