"""`belvedere status`: what is there of the views, what is not, and why not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .asked import asked
from .entry import DONE, INCOMPLETE
from .formats import Rows, show, size
from .options import examples, inputs, open_store, output, parameters, store_option

if TYPE_CHECKING:
    from ..query.status import Status

COLUMNS = ("view", "units", "ready", "missing", "stale", "failed", "absent", "bytes", "causes")


@click.command(
    epilog=examples(
        "belvedere status",
        "belvedere status head_descriptions --texts general --json",
    )
)
@click.argument("view", required=False)
@inputs
@parameters
@output
@store_option
def command(
    view: str | None,
    model: str | None,
    images: str | None,
    texts: str | None,
    values: dict[str, str],
    form: str,
    folder: Path | None,
) -> None:
    """Say what is there of VIEW, or of every view that was ever filled.

    Units are ready, missing, stale (made from something that has changed since) or failed; the causes say
    why some are not ready. Absent are the images and texts in ready units that could not be read. The exit
    code is 1 where units are stale or failed; units that are only missing are not reported by it.
    """
    store = open_store(folder)
    if view is None:
        if any((model, images, texts, values)):
            raise click.UsageError("name a VIEW to ask about one combination of inputs or parameters")
        found = store.status()
    else:
        lazy = asked(store, view, None, model=model, images=images, texts=texts, values=values)
        found = [lazy.status()]
    rows = Rows(COLUMNS, [[getattr(each, name) for name in COLUMNS] for each in found])
    show(rows, form, people=_readable(found))
    wrong = any(each.stale or each.failed for each in found)
    click.get_current_context().exit(INCOMPLETE if wrong else DONE)


def _readable(found: Sequence[Status]) -> Rows:
    """Leave out what is nowhere the case."""
    told = [name for name in COLUMNS[3:] if name != "bytes" and any(getattr(each, name) for each in found)]
    values = [
        [
            each.view,
            f"{each.ready} of {each.units}",
            size(each.bytes),
            *(getattr(each, name) for name in told),
        ]
        for each in found
    ]
    return Rows(["view", "ready", "bytes", *told], values)
