"""`belvedere refresh`: bring declared views up to date."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .entry import FAILED
from .failing import say_why
from .fill import COUNTS
from .formats import encoded
from .options import computing, examples, open_store, renew, store_option


@click.command(epilog=examples("belvedere refresh", "belvedere refresh clear_heads --json"))
@click.argument("names", nargs=-1, metavar="[NAME]...")
@computing
@click.option("--json", "as_json", is_flag=True, help="Print the counts as one JSON object on stdout.")
@store_option
def command(names: tuple[str, ...], as_json: bool, folder: Path | None, **settings: Any) -> None:
    """Bring declared views up to date, all or those named.

    Only what changed beneath them is computed, and only tables beneath which something changed are made
    again. Exit code 3 says that some units failed.
    """
    from ..query.progress import Bar

    store = open_store(folder)
    found = store.refresh(*names, progress=Bar(), **settings)
    if any(report.filled for report in found.values()):
        renew(store)
    counts = {name: {each: getattr(report, each) for each in COUNTS} for name, report in found.items()}
    if as_json:
        click.echo(encoded(counts))
    for name, report in () if as_json else found.items():
        told = ", ".join(
            f"{count} {what}" for what, count in counts[name].items() if count or what == "filled"
        )
        click.echo(f"{name}: {'up to date' if report.complete and not report.filled else f'{told} units'}")
    if not found and not as_json:
        click.echo("nothing is declared: belvedere declare NAME --as QUERY")
    if not all(report.complete for report in found.values()):
        from ..compute.running.report import Report

        say_why(sum(found.values(), Report()))
        click.get_current_context().exit(FAILED)
