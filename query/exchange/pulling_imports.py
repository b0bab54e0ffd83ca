"""Takes over from another store the labels that were imported there: whole, verified, each once."""

from __future__ import annotations

from dataclasses import dataclass, field

from ...store.errors import DamagedObject, UnknownName
from ...store.folder import Folder
from ...store.imports import Import
from ...store.rivals import replaced, rivals_of
from .importing_labels import encoded


@dataclass(slots=True)
class Brought:
    """What became of the imports of another store."""

    taken: list[str] = field(default_factory=list)
    """Imports that are here from now on."""
    left: list[str] = field(default_factory=list)
    """Imports that say something of the same neurons as others here do, and were left."""
    damaged: list[str] = field(default_factory=list)
    """What could not be read in the other store, and why."""


def bring(here: Folder, there: Folder, *, dry_run: bool) -> Brought:
    """Take over the imports that are not here, replaced ones first; one that is damaged here is mended."""
    found, theirs = Brought(), list[Import]()
    for key in there.imports.listed():
        try:
            theirs.append(there.imports.read(key))
        except DamagedObject as error:
            found.damaged.append(f"{error.path}: {error.what}")
        except UnknownName:  # removed there after it was listed
            continue
    for each in sorted(theirs, key=lambda each: len(each.facts["replaces"])):
        if not here.imports.is_whole(each.key):
            try:
                _one(here, there, each, found, dry_run=dry_run)
            except DamagedObject as error:
                found.damaged.append(f"{error.path}: {error.what}")
    return found


def _one(here: Folder, there: Folder, theirs: Import, found: Brought, *, dry_run: bool) -> None:
    """Take one over unless it would be seen beside another, or hide what hides it."""
    tables = {name: there.imports.rows(theirs, name) for name in theirs.parts}
    rows = {name: [] if table is None else table.to_pylist() for name, table in tables.items()}
    facts, taking = theirs.facts, {*theirs.facts["replaces"]}
    if theirs.key in replaced(here.imports.every(but=theirs.key)):
        rival = bool(taking)
    else:
        seen = rivals_of(here, theirs.key, facts, rows.get(facts["kind"], []))
        rival = not {each.key for each in seen} <= taking
    if rival:
        found.left.append(f"import {theirs.key}")
    elif dry_run or here.imports.put(theirs.key, facts, {name: encoded(name, rows[name]) for name in rows}):
        found.taken.append(f"import {theirs.key}")
