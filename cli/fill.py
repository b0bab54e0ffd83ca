"""`belvedere fill`: compute what is missing of a view."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from .asked import asked, where_option
from .entry import FAILED
from .failing import say_why
from .formats import encoded
from .options import computing, examples, inputs, open_store, parameters, renew, store_option

COUNTS = ("filled", "reused", "failed", "skipped")


@click.command(
    epilog=examples(
        "belvedere fill head_roles",
        'belvedere fill head_descriptions --model b16 --texts general --where "layer >= 8"',
        "belvedere fill head_contributions --device cuda:0 --batch-size 256 --json",
    )
)
@click.argument("view")
@inputs
@where_option
@parameters
@computing
@click.option("--json", "as_json", is_flag=True, help="Print the counts as one JSON object on stdout.")
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
    **settings: Any,
) -> None:
    """Compute what is missing of VIEW, and what that is made from.

    What is there is reused; what a killed or interrupted run finished is there. Any number of these
    commands may fill one store at the same time. Exit code 3 says that some units failed.
    """
    from ..query.progress import Bar

    store = open_store(folder)
    lazy = asked(store, view, where, model=model, images=images, texts=texts, values=values)
    started = time.perf_counter()
    report = lazy.fill(progress=Bar(), **settings)
    seconds = time.perf_counter() - started
    counts = {name: getattr(report, name) for name in COUNTS}
    if as_json:
        click.echo(encoded({"view": view, "counts": counts, "seconds": round(seconds, 3)}))
    else:
        click.echo(f"{view}: {', '.join(f'{count} {name}' for name, count in counts.items())} units")
    if report.filled:
        renew(store)
    if report.absent:
        what = f"{report.absent} images or texts were left out"
        click.echo(f"{what}; the rest is there (belvedere errors says why)", err=True)
    if not report.complete:
        say_why(report)
        click.get_current_context().exit(FAILED)
