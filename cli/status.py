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
    from ..query.upkeep.status import Status

COLUMNS = ("view", "units", "ready", "missing", "stale", "failed", "absent", "bytes", "causes")


@click.command(
    epilog=examples(
        "belvedere status",
        "belvedere status head_descriptions --texts general --json",
        "belvedere status head_roles --assert-fresh && ./publish.sh",
    )
)
@click.argument("view", required=False)
@inputs
@parameters
@click.option("--no-disk", is_flag=True, help="Do not look whether image files changed or vanished.")
@click.option("--assert-fresh", is_flag=True, help="For scripts: exit code 1 unless every unit is ready.")
@output
@store_option
def command(
    view: str | None,
    model: str | None,
    images: str | None,
    texts: str | None,
    values: dict[str, str],
    no_disk: bool,
    assert_fresh: bool,
    form: str,
    folder: Path | None,
) -> None:
    """Say what is there of VIEW, or of every view that was filled.

    Units are ready, missing, stale (made from something that has changed since) or failed; the causes say
    why some are not ready. Absent are the images and texts in kept units that could not be read. The exit
    code is 1 where units are stale or failed; units that are only missing are not reported by it.

    With --assert-fresh it is 1 unless every unit is ready: a line on stderr says what is not, and stdout
    stays empty unless a format is asked for.
    """
    store = open_store(folder)
    if view is None:
        if any((model, images, texts, values)):
            raise click.UsageError("name a VIEW to ask about one combination of inputs or parameters")
        found = store.status(disk=not no_disk)
    else:
        lazy = asked(store, view, None, model=model, images=images, texts=texts, values=values)
        found = [lazy.status(disk=not no_disk)]
    if form != "table" or not assert_fresh:
        rows = Rows(COLUMNS, [[getattr(each, name) for name in COLUMNS] for each in found])
        show(rows, form, people=_readable(found))
        if form == "table":
            click.echo(_causes(found), nl=False)
    wrong = any(each.stale or each.failed for each in found)
    if assert_fresh and (lack := _lack(found)):
        wrong = True
        click.echo(lack, err=True)
    click.get_current_context().exit(INCOMPLETE if wrong else DONE)


def _lack(found: Sequence[Status]) -> str:
    """Say in a line which views are not fresh, and why the first is not; nothing where all are."""
    if not found:
        return "not fresh: nothing was ever filled here; name a VIEW to ask about it"
    lacking = [each for each in found if not each.fresh]
    if not lacking:
        return ""
    first = lacking[0]
    why = f" ({first.causes[0]})" if first.causes else ""
    more = f", and {len(lacking) - 1} of {len(found) - 1} other views" if len(lacking) > 1 else ""
    return f"not fresh: {first.view}: {first.counts()}{why}{more}"


def _causes(found: Sequence[Status]) -> str:
    """Write each cause once, after the views that it is of; nothing where there is none."""
    views: dict[str, list[str]] = {}
    for each in found:
        for cause in each.causes:
            views.setdefault(cause, []).append(each.view)
    more = {cause: f" and {len(of) - 1} more" if len(of) > 1 else "" for cause, of in views.items()}
    return "".join(f"\n{of[0]}{more[cause]}:\n  {cause}\n" for cause, of in views.items())


def _readable(found: Sequence[Status]) -> Rows:
    """Leave out what is nowhere the case."""
    counts = ("missing", "stale", "failed", "absent")
    told = [name for name in counts if any(getattr(each, name) for each in found)]
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
