"""`belvedere remove`: let a name stand for nothing any more."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from .formats import size
from .options import examples, open_store, store_option

if TYPE_CHECKING:
    from ..query.names.naming import Standing


@click.command(
    epilog=examples(
        "belvedere remove dogs",
        "belvedere remove images dogs --yes",
        "belvedere remove import 995049be7e3fe97d",
    )
)
@click.argument("words", nargs=-1, required=True, metavar="[KIND|import] NAME")
@click.option("--yes", is_flag=True, help="Do it; without this, only what stands behind the name is said.")
@store_option
def command(words: tuple[str, ...], yes: bool, folder: Path | None) -> None:
    """Let NAME stand for nothing any more.

    What was computed under it stays, and is found again under any name of the same contents. KIND
    (model, images, texts, captioner, language, painter, judge) is needed only where NAME stands for several.
    With import, NAME is an import of labels, and these go away: the table imports lists them.
    """
    if words[0] == "import" and len(words) == 2:
        _remove_import(words[1], yes, folder)
        return
    kind, (name,) = kind_and_names(words, 1)
    found = open_store(folder).remove(name, kind, dry_run=not yes)
    click.echo(_told(found, yes))
    if not yes:
        click.echo("Nothing is changed yet: --yes removes the name.", err=True)


def _remove_import(import_id: str, yes: bool, folder: Path | None) -> None:
    """Take an import away, or say what would go."""
    facts = open_store(folder).remove_import(import_id, dry_run=not yes)
    what = f"{facts['rows_ok']:,} rows of {facts['source']}" if facts else "its record is damaged"
    click.echo(f"import {import_id}: {'removed; ' * yes}{what}")
    if not yes:
        click.echo("Nothing is changed yet: --yes removes the import.", err=True)


def kind_and_names(words: tuple[str, ...], count: int) -> tuple[str | None, tuple[str, ...]]:
    """Take the kind, where one is said, from so many names."""
    if len(words) == count:
        return None, words
    if len(words) == count + 1:
        from ..query.names.naming import KINDS

        if words[0] not in KINDS:
            raise click.UsageError(f"{words[0]!r} is no kind of name; kinds are {', '.join(KINDS)}")
        return words[0], words[1:]
    raise click.UsageError(f"{len(words)} words where {count} or, with the kind first, {count + 1} are due")


def _told(found: Standing, removed: bool) -> str:
    """Say what stands behind a name, and what becomes of it."""
    units = f"{found.units:,} unit{'' if found.units == 1 else 's'}"
    lines = [f"{found.kind} {found.name}: {'removed; ' * removed}{units}, {size(found.bytes)}, stay kept"]
    if found.shared:
        lines.append(f"  the same contents: {', '.join(found.shared)}")
    return "\n".join(lines)
