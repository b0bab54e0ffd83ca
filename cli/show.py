"""`belvedere show`: what a store holds, and what a name in it stands for."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .formats import Rows, encoded, show, size
from .layout import layout, width
from .options import examples, open_store, output, store_option

if TYPE_CHECKING:
    from ..query.seeing.show import Shown

COLUMNS = ("kind", "name", "holds", "source")
LONGEST = 12
"""So many rows of a list are printed for people; programs get all."""
WHOLE = ("modules", "parameters", "columns")
"""Lists of which people get all rows, too."""


@click.command(
    epilog=examples(
        "belvedere show",
        "belvedere show b16",
        "belvedere show photos --rows 20",
        "belvedere show head_descriptions --json",
    )
)
@click.argument("name", required=False)
@click.option(
    "--rows",
    type=click.IntRange(min=0),
    default=5,
    show_default=True,
    metavar="N",
    help="How many of the first images or texts to print.",
)
@output
@store_option
def command(name: str | None, rows: int, form: str, folder: Path | None) -> None:
    """Say what the store holds, or what NAME stands for.

    NAME is a model (its sizes, digests and modules), a set of images (sizes, labels and groups with
    counts, the first images), a set of texts (categories, the first texts) or a view (what it holds, its
    parameters and columns). Where it is several of these, all are told.
    """
    found = open_store(folder).show(name, rows=rows)
    if form == "table" and name is not None:
        click.echo("\n".join(_page(each) for each in found), nl=False)
    elif form == "table" and not found:
        click.echo("nothing yet: belvedere add model, add images and add texts let names stand for something")
    else:
        every = _rows(found) if found else Rows((*COLUMNS, "count"), [])
        show(every, form, people=every.narrowed(COLUMNS) if name is None else None)


def _rows(found: Sequence[Shown]) -> Rows:
    """Give one row for each, with all columns that any of them has."""
    records = [each.record() for each in found]
    columns = list(dict.fromkeys(column for record in records for column in record))
    return Rows(columns, [[record.get(column) for column in columns] for record in records])


def _page(each: Shown) -> str:
    """Write what a name stands for: its kind and name, its facts, its lists."""
    pieces = [f"{each.kind} {each.name}: {each.holds}\n", _facts(each.facts)]
    for title, rows in each.lists.items():
        if rows:
            pieces.append(f"\n{title}:\n{_list(rows, len(rows) if title in WHOLE else LONGEST)}")
    return "".join(pieces)


def _facts(facts: Mapping[str, Any]) -> str:
    """Write facts one a line, those aside that say nothing."""
    told = {
        name.replace("_", " "): _fact(name, value)
        for name, value in facts.items()
        if value not in (None, "", 0, {})
    }
    longest = max(map(len, told), default=0)
    return "".join(_line(name, text, longest) for name, text in told.items())


def _fact(name: str, value: Any) -> str:
    if name == "bytes":
        return size(value)
    if isinstance(value, int):
        return f"{value:,}"
    return value if isinstance(value, str) else encoded(value)


def _line(name: str, text: str, longest: int) -> str:
    """Write one fact, folded where the terminal is narrower."""
    room = width()
    indent = " " * (longest + 4)
    lines = [text] if room is None else textwrap.wrap(text, max(24, room - len(indent))) or [""]
    return f"  {name:{longest}}  {lines[0]}\n" + "".join(f"{indent}{line}\n" for line in lines[1:])


def _list(rows: Sequence[Mapping[str, Any]], most: int) -> str:
    """Lay out the first rows of a list, without columns in which there is nothing."""
    columns = [name for name in rows[0] if any(row[name] not in (None, "") for row in rows)]
    values = [[_cell(row[name]) for name in columns] for row in rows[:most]]
    more = f"… and {len(rows) - most:,} more\n" if len(rows) > most else ""
    return layout(columns, values, width()) + more


def _cell(value: Any) -> Any:
    return " × ".join(map(str, value)) if isinstance(value, list) else value
