"""`belvedere plan`: what a fill, or a statement, would compute."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .asked import asked, where_option
from .formats import Rows, show, size
from .options import examples, inputs, open_store, output, parameters, prices_option, store_option

if TYPE_CHECKING:
    from ..query.sql.forecast import Forecast

COLUMNS = ("view", "wanted", "reused", "units", "passes", "images", "bytes", "seconds", "by_view", "work")
COSTS = ("units", "passes", "images", "bytes", "seconds")


@click.command(
    epilog=examples(
        "belvedere plan head_roles",
        'belvedere plan head_descriptions --texts general --where "layer >= 8" --json',
        'belvedere plan --sql "SELECT image_id, vector FROM head_contributions WHERE layer = 11"',
    )
)
@click.argument("view", required=False)
@click.option(
    "--sql",
    "query",
    metavar="QUERY",
    help="Say what `belvedere sql QUERY --fill` would compute; -p gives values of $NAME.",
)
@inputs
@where_option
@parameters
@prices_option
@output
@store_option
def command(
    view: str | None,
    query: str | None,
    model: str | None,
    images: str | None,
    texts: str | None,
    where: str | None,
    values: dict[str, str],
    prices: str | None,
    form: str,
    folder: Path | None,
) -> None:
    """Say what a fill of VIEW, or a statement, would compute.

    Nothing is computed. Where only running can tell what a statement computes, the least and the most are
    given.
    """
    if (view is None) == (query is None):
        raise click.UsageError("name a VIEW, or a statement with --sql")
    store = open_store(folder)
    if query is not None:
        if any((model, images, texts, where)):
            raise click.UsageError("a statement names its inputs and filters itself: WHERE model = …")
        from ..query.resolve import read_value

        given = {name: read_value(text) for name, text in values.items()}
        statement = sys.stdin.read() if query == "-" else query
        _show(store.plan(statement, given or None, prices=prices), form)
        return
    lazy = asked(store, str(view), where, model=model, images=images, texts=texts, values=values)
    found = lazy.plan(prices=prices)
    if form == "table":
        click.echo(found)
        return
    facts = {name: getattr(found, name) for name in COLUMNS[1:-2]}
    work = {name: each.facts() for name, each in found.work.items()}
    show(Rows.of(COLUMNS, [{"view": view, **facts, "by_view": found.by_view(), "work": work}]), form)


def _show(found: Forecast, form: str) -> None:
    told = found.rows()
    rows = [{**row, "work": row["work"] and row["work"].facts()} for row in told]
    columns = ["view", *(each for name in COSTS for each in (name, f"{name}_at_most")), "work"]
    if form == "table" and not rows:
        click.echo(found)
        return
    more = ("work",) if any(row["work"] for row in told) else ()
    people = [
        [row["view"], *(_range(row, name) for name in COSTS), *(str(row[name] or "") for name in more)]
        for row in told
    ]
    show(Rows.of(columns, rows), form, people=Rows(("view", *COSTS, *more), people))
    if found.lacking:
        click.echo(f"incomplete: {found.lacking}", err=True)


def _range(row: Mapping[str, Any], name: str) -> str:
    """Write what is at least and at most as one text."""
    least, most = (_written(row[key], name) for key in (name, f"{name}_at_most"))
    return most if least == most else f"{least} to {most}"


def _written(value: float | None, name: str) -> str:
    if value is None:
        return "?"
    return size(int(value)) if name == "bytes" else f"{value:,.0f}"
