"""`belvedere lineage`: where numbers come from."""

from __future__ import annotations

from pathlib import Path

import click

from .entry import DONE, INCOMPLETE
from .formats import encoded
from .options import examples, inputs, open_store, parameters, store_option


@click.command(
    epilog=examples(
        'belvedere lineage head_descriptions --where "layer = 3 AND head = 1"',
        "belvedere lineage head_contributions --model b16 --images photos --json",
    )
)
@click.argument("view")
@inputs
@click.option(
    "--where", metavar="SQL", help="Only of the rows for which this holds; for views that are tables."
)
@parameters
@click.option("--json", "as_json", is_flag=True, help="Print all of it as one JSON object on stdout.")
@store_option
def command(
    view: str,
    model: str | None,
    images: str | None,
    texts: str | None,
    where: str | None,
    values: dict[str, str],
    as_json: bool,
    folder: Path | None,
) -> None:
    """Say what the numbers of VIEW were made from.

    The tree ends at weights, images and texts. Of each view in it, it says which units count, and when,
    where and with what they were made; --json has every unit. Nothing is computed. The exit code is 1
    where units of VIEW itself are not there.
    """
    from ..query.named import values_of

    store = open_store(folder)
    given = values_of(store._engine, view, values)
    found = store.lineage(view, model=model, images=images, texts=texts, where=where, **given)
    click.echo(encoded(found.to_dict()) if as_json else found)
    click.get_current_context().exit(DONE if found.complete else INCOMPLETE)
