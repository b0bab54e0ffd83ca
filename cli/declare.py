"""`belvedere declare`: let a name stand for a view with other parameters, or for what a statement answers."""

from __future__ import annotations

from pathlib import Path

import click

from .options import examples, inputs, open_store, parameters, store_option


@click.command(
    epilog=examples(
        'belvedere declare clear_heads --as "SELECT layer, head, role FROM head_roles WHERE p_value < 0.01"',
        "belvedere declare roles_svd head_roles -p span svd --model b16",
        "belvedere refresh",
    )
)
@click.argument("name")
@click.argument("view", required=False)
@click.option("--as", "sql", metavar="QUERY", help="The statement that defines it, instead of a VIEW.")
@inputs
@parameters
@click.option("--replace", is_flag=True, help="Let NAME stand for something else than before.")
@store_option
def command(
    name: str,
    view: str | None,
    sql: str | None,
    model: str | None,
    images: str | None,
    texts: str | None,
    values: dict[str, str],
    replace: bool,
    folder: Path | None,
) -> None:
    """Let NAME stand for a statement, or for a view.

    NAME is a table in SQL, and a view in every command that takes one. Nothing is computed: `belvedere
    refresh`, `belvedere fill NAME` or `belvedere sql "FROM NAME" --fill` does, and from then on only what
    changed beneath.
    """
    from ..query.resolve import read

    given = read(view, values) if view is not None else values
    store = open_store(folder)
    store.declare(name, view, sql=sql, model=model, images=images, texts=texts, replace=replace, **given)
    meaning = next(each.meaning for each in store.declared() if each.name == name)
    click.echo(f"{name}: {meaning}")
