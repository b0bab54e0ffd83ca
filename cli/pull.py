"""`belvedere pull`: take over what another store has computed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from .entry import FAILED, INCOMPLETE
from .formats import encoded, size
from .options import examples, inputs, open_store, parameters, renew, store_option

if TYPE_CHECKING:
    from ..query.exchange.pull import Pulled

LISTED = 10
"""So many damaged objects are said one by one."""


@click.command(
    epilog=examples(
        "belvedere pull /data/theirs --dry-run",
        "belvedere pull /data/theirs",
        "belvedere pull /data/theirs head_contributions --model b16 --images photos",
    )
)
@click.argument("other", type=click.Path(path_type=Path))
@click.argument("view", required=False)
@inputs
@parameters
@click.option("--dry-run", is_flag=True, help="Only say what would be taken over.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print what was taken over as one JSON object on stdout."
)
@store_option
def command(
    other: Path,
    view: str | None,
    model: str | None,
    images: str | None,
    texts: str | None,
    values: dict[str, str],
    dry_run: bool,
    as_json: bool,
    folder: Path | None,
) -> None:
    """Take over what the store OTHER has computed.

    Units are found by their keys, whatever models, images and texts are called there, and each byte is
    compared with its record. With VIEW only what this store's view lacks; without it all units, and names
    that are free here. OTHER is never changed. Exit code 3 says that some of it is damaged, and was not
    taken; 1 that OTHER lacks units of VIEW, too.
    """
    from ..query.progress import Bar
    from ..query.resolve import read

    if view is None and (values or model or images or texts):
        raise click.UsageError("inputs and parameters are those of a VIEW; name one after OTHER")
    asked = read(view, values) if view is not None else {}
    store = open_store(folder)
    found = store.pull(
        other, view, model=model, images=images, texts=texts, dry_run=dry_run, progress=Bar(), **asked
    )
    if found.units and not dry_run:
        renew(store)
    _tell(found, "would be pulled" if dry_run else "pulled", as_json=as_json)
    if found.damaged:
        click.get_current_context().exit(FAILED)
    if found.lacking:
        click.get_current_context().exit(INCOMPLETE)


def _tell(found: Pulled, done: str, *, as_json: bool) -> None:
    for each in found.damaged[:LISTED]:
        click.echo(f"damaged there, and not taken: {each}", err=True)
    if len(found.damaged) > LISTED:
        click.echo(f"… and {len(found.damaged) - LISTED:,} more", err=True)
    for name in found.left:
        click.echo(f"left, for it stands for something else here: {name}", err=True)
    if found.lacking:
        click.echo(f"{found.lacking} units are in neither store; belvedere fill computes them", err=True)
    if as_json:
        names = ("units", "bytes", "reused", "lacking", "names", "left", "damaged")
        click.echo(encoded({name: getattr(found, name) for name in names}))
        return
    if found.names:
        click.echo(f"names {done}: {', '.join(found.names)}")
    click.echo(f"{found.units:,} units {done}, {size(found.bytes)}; {found.reused:,} were here already")
