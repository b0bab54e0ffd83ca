"""Takes into a store the labels, ratings and measurements of neurons that stand in the files of others."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from ...compute.label_files import choose
from ...compute.label_files.entries import Adapter
from ...compute.label_files.reading import Read, Target, layers, read
from ...compute.label_files.sheet import Reject, Sheet
from ...compute.label_files.sheet import read as read_sheet
from ...compute.neurons import pooling
from ...store import digest, parts
from ...store.errors import BadSource, DamagedObject, NameTaken, ReadOnlyStore, UnknownName
from ...store.folder import Folder
from ...store.imports import Import
from ...store.rivals import Rows, places, replaced, rivals_of
from ...store.sets import Model
from ..sql.imported_tables import COLUMNS, NAMED_BY, target_of
from .imported_rows import rows_of

Modules = str | Mapping[str, str] | None
FIRST = 5
"""So many rows are shown of what was read."""
DIGITS = 16
"""Digits of an import's key: enough for 100,000 of them to have keys of their own."""


@dataclass(frozen=True, slots=True)
class ImportedLabels:
    """What a file of labels was read as, and what became of it."""

    import_id: str
    """The import's key, made of the file's bytes, the way it was read and what it was said to be about."""
    format: str
    """The format that it has, with the version of the reader."""
    kind: str
    """What it holds: labels, ratings or scores."""
    table: str
    """The SQL table in which it is seen."""
    written: bool
    """Whether it was written now."""
    there: bool
    """Whether the same import was there already; nothing is doubled."""
    rows_ok: int
    """Rows of the file that were read."""
    rejects: tuple[Reject, ...]
    """Rows of the file that are not taken in, by line, with the reason."""
    left: Mapping[str, int]
    """Rows of layers that were not asked for."""
    ignored: tuple[str, ...]
    """Columns of the file that were not read."""
    rows: int
    """Rows of the table that they make."""
    first: tuple[Mapping[str, Any], ...]
    """The first five of those."""
    replaces: tuple[str, ...]
    """Imports that are not seen any more, because this one says something of the same neurons."""
    replaced_by: str | None
    """The import by which this one is not seen any more."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """A file of labels that was read as that of a model."""

    sheet: Sheet
    """The file."""
    adapter: Adapter
    """Its format."""
    identity: Mapping[str, Any]
    """What the import is known by."""
    said: Read
    """Its rows."""
    tables: Mapping[str, Rows]
    """The rows of the tables that it becomes."""

    @property
    def key(self) -> str:
        """The import's key."""
        return digest.of_facts(self.identity)[:DIGITS]

    @property
    def main(self) -> Rows:
        """The rows of the table that it is for."""
        return self.tables[self.adapter.kind]


def import_labels(
    folder: Folder,
    file: str | os.PathLike[str],
    *,
    model: str,
    method: str | None,
    module: Modules,
    form: str | None,
    base: Literal[0, 1] | None,
    images: str | None,
    note: str | None,
    preview: bool,
    replace: bool,
) -> ImportedLabels:
    """Import a file of labels; see `Store.import_labels`."""
    found = folder.names.model(model)
    shown = None if images is None else folder.names.image_set(images).all_contents
    parsed = _parsed(found, Path(file).expanduser(), method, module, form, base, shown)
    key = parsed.key
    there = folder.imports.is_whole(key)
    since = replaced(folder.imports.every(but=key)).get(key)
    facts = _known(folder, key) or {
        **parsed.identity,
        "source": os.fsencode(parsed.sheet.path.name).decode(errors="replace"),
        "kind": parsed.adapter.kind,
        "model": model,
        "image_set": images,
        "rows_ok": len(parsed.said.said),
        "rows_rejected": len(parsed.said.rejects),
        "left": parsed.said.left,
        "note": note,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "replaces": [] if since else _taking(folder, parsed),
    }
    written = False
    if not (there or preview):
        written = _keep(folder, parsed, facts, since, replace=replace)
        there = not written
    return ImportedLabels(
        import_id=key,
        format=f"{parsed.adapter.name} {parsed.adapter.version}",
        kind=parsed.adapter.kind,
        table=NAMED_BY[parsed.adapter.kind],
        written=written,
        there=there,
        rows_ok=len(parsed.said.said),
        rejects=tuple(parsed.said.rejects),
        left=parsed.said.left,
        ignored=tuple(parsed.adapter.ignored(parsed.sheet.columns)),
        rows=len(parsed.main),
        first=tuple(parsed.main[:FIRST]),
        replaces=tuple(facts["replaces"]),
        replaced_by=since,
    )


def _parsed(
    model: Model,
    path: Path,
    method: str | None,
    module: Modules,
    form: str | None,
    base: int | None,
    images: str | None,
) -> Parsed:
    """Read a file as that of a model, and give what the import is known by."""
    sheet = read_sheet(path)
    adapter = choose(sheet, form)
    _check_method(adapter, method)
    targets = _targets(model, sheet, adapter, module)
    said = read(sheet, adapter, targets, base)
    identity = {
        "file": sheet.sha256,
        "adapter": [adapter.name, adapter.version],
        "target": target_of(model),
        "modules": {str(layer or ""): target.module for layer, target in targets.items()},
        "method": method,
        "base": adapter.base if base is None else base,
        "images": images,
    }
    return Parsed(sheet, adapter, identity, said, rows_of(said))


def remove_import(folder: Folder, import_id: str, *, dry_run: bool) -> Import:
    """Take an import away; see `Store.remove_import`."""
    if import_id not in (known := folder.imports.listed()):
        raise UnknownName("import", import_id, known, "the table imports lists them")
    try:
        found = folder.imports.read(import_id)
    except ValueError:  # damaged: it can be taken away all the same
        found = Import(import_id, {}, {})
    if not dry_run:
        folder.imports.remove(import_id)
    return found


def _check_method(adapter: Adapter, method: str | None) -> None:
    """Ask for the method where the file does not name it, and refuse one where it does."""
    if adapter.kind == "ratings" and method is not None:
        raise BadSource(f"method={method!r}: a file of {adapter.name} names the methods itself; leave it out")
    if adapter.kind != "ratings" and not (method or "").strip():
        raise BadSource(
            f"say with which method the labels were made: method='{adapter.name}' (--method), for instance"
        )


def _targets(model: Model, sheet: Sheet, adapter: Adapter, module: Modules) -> dict[str | None, Target]:
    """Find the module of each layer that is asked for; `BadSource` says what has to be said."""
    there = layers(sheet, adapter)
    listed = ", ".join(there)
    if not there:
        if not isinstance(module, str) or not module:
            raise BadSource(
                f"{sheet.path.name} does not say of which layer its units are: say module=… (--module), "
                f"the name of one module of {model.name!r}"
            )
        return {None: _target(model, module)}
    if isinstance(module, str):
        if module not in there and len(there) > 1:
            raise BadSource(
                f"{sheet.path.name} has the layers {listed}, and none is called {module!r}: say which one it "
                f"is, module={{{next(iter(there))!r}: {module!r}}} (--module {next(iter(there))}={module})"
            )
        return {module if module in there else next(iter(there)): _target(model, module)}
    if module is not None:
        for layer in module:
            if layer not in there:
                raise UnknownName(f"layer of {sheet.path.name}", layer, there)
        return {layer: _target(model, name) for layer, name in module.items()}
    unknown = [layer for layer in there if layer not in model.modules]
    if unknown:
        raise BadSource(
            f"{sheet.path.name} has the layers {listed}, and {unknown[0]!r} is no module of {model.name!r}: "
            f"say which one it is, module={{{unknown[0]!r}: …}} (--module {unknown[0]}=MODULE), and so for "
            f"each layer that is to be taken in; belvedere show {model.name} lists the modules"
        )
    return {layer: _target(model, layer) for layer in there}


def _target(model: Model, name: str) -> Target:
    """Find a module and its width."""
    found = model.module(name)
    if found.problem is not None:
        raise BadSource(f"module {name!r} of {model.name!r} has no neurons: {found.problem}")
    last = len(found.shape) == 3 and found.shape[0] == found.shape[1] != found.shape[2]
    try:
        return Target(name, pooling.layout(found.shape, "last" if last else "auto")[0])
    except ValueError as error:
        raise BadSource(f"module {name!r} of {model.name!r} has no neurons: {error}") from error


def _known(folder: Folder, key: str) -> Mapping[str, Any] | None:
    """Give the facts of an import whose record can be read: one that is mended keeps them."""
    try:
        return folder.imports.read(key).facts
    except (UnknownName, DamagedObject):
        return None


def _taking(folder: Folder, parsed: Parsed) -> list[str]:
    """List the imports whose place a file takes."""
    facts = {**parsed.identity, "kind": parsed.adapter.kind}
    return places(rivals_of(folder, parsed.key, facts, parsed.main))


def _keep(
    folder: Folder, parsed: Parsed, facts: Mapping[str, Any], since: str | None, *, replace: bool
) -> bool:
    """Write an import; False where another process was first, `NameTaken` where it may not take a place."""
    key, mends = parsed.key, parsed.key in folder.imports.listed()
    if not folder.writable:
        raise ReadOnlyStore('the store was opened with mode="r"; open it with mode="a" to import into it')
    if since and not mends:
        raise NameTaken(
            f"import {key} was removed, and import {since} had taken its place: belvedere remove import "
            f"{since} first, and then import it again"
        )
    if facts["replaces"] and not (replace or mends):
        raise _taken(facts, facts["replaces"])
    data = {name: encoded(name, rows) for name, rows in parsed.tables.items() if rows}
    if not folder.imports.put(key, facts, data):
        return False
    rivals = [each.key for each in rivals_of(folder, key, facts, parsed.main)]
    if not mends and not set(rivals) <= {*facts["replaces"]}:  # such a file was imported at the same time
        folder.imports.remove(key)
        raise _taken(facts, rivals)
    return True


def encoded(name: str, rows: Rows) -> bytes:
    """Write the rows of one table of an import as a part."""
    return parts.encode(COLUMNS[name], {column: [row[column] for row in rows] for column in COLUMNS[name]})


def _taken(facts: Mapping[str, Any], others: Sequence[str]) -> NameTaken:
    by = f" by {facts['method']!r}" if facts["method"] else ""
    return NameTaken(
        f"import {', '.join(others)} has {facts['kind']}{by} of the same neurons already; take another "
        "method's name, or replace=True (--replace) to see these instead"
    )
