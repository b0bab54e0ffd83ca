"""`belvedere import labels`: take in labels of neurons that others made."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import click

from .formats import Rows, encoded, show
from .options import examples, open_store, renew, store_option

if TYPE_CHECKING:
    from ..query.exchange.importing_labels import ImportedLabels

FORMATS = (
    *("dnd", "clip-dissect", "milan", "milannotations", "netdissect"),
    *("invert", "falcon", "cosy", "human-ratings", "ratings"),
)
LISTED = 10
"""So many rejected rows are said one by one."""
SHOWN = (
    "module",
    "neuron",
    "rank",
    "label",
    "score",
    "status",
    "annotator",
    "name",
    "value",
    "rater",
    "rating",
)
"""Columns of the first rows that people see, as far as the table has them."""


@click.command(
    epilog=examples(
        "belvedere import labels descriptions.csv --model rn50 --method clip-dissect --preview",
        "belvedere import labels layer4.csv --model rn50 --method dnd --module layer4",
        "belvedere import labels ratings.csv --model rn50 --module 1=layer1 --module 4=layer4",
    )
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--model", metavar="NAME", required=True, help="The model whose neurons they are of.")
@click.option("--method", metavar="TEXT", help="How the labels were made; ratings name it themselves.")
@click.option(
    "--module",
    "modules",
    multiple=True,
    metavar="[LAYER=]MODULE",
    help="The module that the units are of; LAYER is what FILE calls it, where it has a column of layers. "
    "May be given several times. [default: the layers are names of modules]",
)
@click.option(
    "--format", "form", type=click.Choice(FORMATS), help="The format, where the header is of several."
)
@click.option(
    "--base",
    type=click.Choice(["0", "1"]),
    help="The number of the first unit. [default: 1 for netdissect, else 0]",
)
@click.option("--images", metavar="SET", help="The set of images by which they were made, kept beside them.")
@click.option("--note", metavar="TEXT", help="Where they come from, in your words.")
@click.option("--preview", is_flag=True, help="Write nothing; only say what would be taken in.")
@click.option("--replace", is_flag=True, help="See these instead of other imports of the same neurons.")
@click.option("--json", "as_json", is_flag=True, help="Print what was read as one JSON object on stdout.")
@store_option
def command(
    file: Path,
    modules: tuple[str, ...],
    form: str | None,
    base: str | None,
    as_json: bool,
    folder: Path | None,
    **said: Any,
) -> None:
    """Take in the labels in FILE, of neurons of a model.

    FILE is CSV in one of the published formats: what Describe-and-Dissect, CLIP-Dissect, MILAN, Network
    Dissection, INVERT and FALCON write, MILANNOTATIONS, CoSy's measures, ratings by people. Nothing in it is
    taken for missing: "null" and "nan" are words. Rows that cannot be read are kept with their reasons.
    """
    store = open_store(folder)
    found = store.import_labels(
        file,
        module=_modules(modules),
        format=form,
        base=None if base is None else cast("Literal[0, 1]", int(base)),
        **said,
    )
    if found.written:
        renew(store)
    if as_json:
        click.echo(encoded(_facts(found)))
        return
    _tell(file, found, said["method"])


def _modules(given: tuple[str, ...]) -> str | Mapping[str, str] | None:
    """Take the options apart: one module, or the module of each layer."""
    pairs = [each.partition("=") for each in given]
    if len(pairs) == 1 and not pairs[0][1]:
        return given[0]
    plain = [each for each, (_, equals, _) in zip(given, pairs, strict=True) if not equals]
    if plain:
        raise click.UsageError(f"--module {plain[0]}: of several, each is LAYER=MODULE")
    return {layer: module for layer, _, module in pairs} or None


def _facts(found: ImportedLabels) -> dict[str, Any]:
    names = ("import_id", "format", "kind", "table", "written", "there", "rows_ok", "left", "ignored", "rows")
    rejects = [{"line": each.line, "raw": each.raw, "reason": each.reason} for each in found.rejects]
    more = {"rejects": rejects, "first": found.first, "replaces": found.replaces}
    return {**{name: getattr(found, name) for name in names}, **more, "replaced_by": found.replaced_by}


def _tell(file: Path, found: ImportedLabels, said_by: str | None) -> None:
    """Say for people what was read, what was not, and what became of it."""
    from ..compute.neurons.judged import METHODS

    read = found.rows_ok + len(found.rejects)
    click.echo(
        f"{file.name} ({found.format}): {found.rows_ok:,} of {read:,} rows were read, and make "
        f"{found.rows:,} of {found.table}"
    )
    columns = [name for name in SHOWN if any(row.get(name) is not None for row in found.first)]
    show(Rows(columns, [[row[name] for name in columns] for row in found.first]), "table")
    for each in found.rejects[:LISTED]:
        click.echo(f"  line {each.line}: {each.reason}", err=True)
    if len(found.rejects) > LISTED:
        click.echo(f"  … and {len(found.rejects) - LISTED:,} more rows that cannot be read", err=True)
    if found.left:
        listed = ", ".join(f"{layer} ({count:,})" for layer, count in found.left.items())
        click.echo(f"Rows of layers that were not asked for: {listed}", err=True)
    if found.ignored:
        click.echo(f"Columns that are not read: {', '.join(found.ignored)}", err=True)
    if said_by in METHODS.views and found.kind == "labels":
        click.echo(
            f"label_evaluations -p method {said_by} judges the labels that are made here; import these under "
            "another name to have them judged",
            err=True,
        )
    click.echo(_became(found))


def _became(found: ImportedLabels) -> str:
    if found.there:
        more = f", and replaced by {found.replaced_by} since" if found.replaced_by else ""
        return f"import {found.import_id}: already there{more}"
    if found.written:
        more = f", instead of {', '.join(found.replaces)}" if found.replaces else ""
        return f"import {found.import_id}: written{more}"
    more = f"; with --replace, instead of {', '.join(found.replaces)}" if found.replaces else ""
    return f"import {found.import_id}: a preview, nothing is written{more}"
