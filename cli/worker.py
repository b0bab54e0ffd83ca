"""`belvedere worker`: fill views until nothing of them is missing, or wait for more."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from .asked import asked
from .entry import FAILED
from .failing import say_why
from .formats import encoded
from .options import computing, examples, inputs, open_store, parameters, renew, store_option

COUNTS = ("filled", "reused", "failed", "skipped")


@click.command(
    epilog=examples(
        "belvedere worker",
        "belvedere worker head_roles mlp_contributions --model b16 --device cuda:1",
        "belvedere worker --poll 30 --max-seconds 3600",
    )
)
@click.argument("views", nargs=-1, metavar="[VIEW]...")
@inputs
@parameters
@click.option(
    "--poll",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Look again after so long whether there is more to do. [default: end]",
)
@click.option(
    "--max-seconds",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="End after so long. [default: never]",
)
@computing
@click.option("--json", "as_json", is_flag=True, help="Print the counts as one JSON object on stdout.")
@store_option
def command(
    views: tuple[str, ...],
    model: str | None,
    images: str | None,
    texts: str | None,
    values: dict[str, str],
    as_json: bool,
    folder: Path | None,
    **settings: Any,
) -> None:
    """Fill VIEWs, or all that was begun, until nothing is missing.

    Any number of workers share the units out. One that is killed loses nothing: the others take over what
    it had begun. SIGTERM ends it after the batch at hand; so does --max-seconds. Units that fail are
    recorded, and the rest goes on; the exit code is 3 then.
    """
    from ..query.progress import Bar

    store = open_store(folder)
    if not views and any((model, images, texts, values)):
        raise click.UsageError("name a VIEW to fill one combination of inputs or parameters")
    lazies = [
        asked(store, view, None, model=model, images=images, texts=texts, values=values) for view in views
    ]
    found = store.work(lazies, progress=Bar(), stop=_told_to_end(), **settings)
    counts = {name: getattr(found.report, name) for name in COUNTS}
    if as_json:
        click.echo(encoded({"counts": counts, "ended": found.ended, "refused": found.refused}))
    else:
        click.echo(f"{', '.join(f'{count} {name}' for name, count in counts.items())} units")
    if found.report.filled:
        renew(store)
    for each in found.refused:
        click.echo(each, err=True)
    if found.ended:
        click.echo("ended before all was done: what is finished is kept, and a worker goes on", err=True)
    if not found.report.complete:
        say_why(found.report)
    if not found.complete:
        click.get_current_context().exit(FAILED)


def _told_to_end() -> Callable[[], bool]:
    """Take SIGTERM for a word to end, which is heeded after the batch at hand."""
    heard: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    return lambda: bool(heard)
