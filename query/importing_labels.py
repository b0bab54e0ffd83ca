"""Takes into a store the labels, ratings and measurements of neurons that stand in the files of others."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from ..compute import pooling
from ..compute.label_files import choose
from ..compute.label_files.entries import Adapter
from ..compute.label_files.reading import Target, layers, read
from ..compute.label_files.sheet import Reject, Sheet
from ..compute.label_files.sheet import read as read_sheet
from ..store import digest, parts
from ..store.errors import BadSource, DamagedObject, NameTaken, ReadOnlyStore, UnknownName
from ..store.folder import Folder
from ..store.imports import Import
from ..store.sets import Model
from .imported_rows import rows_of
from .imported_tables import COLUMNS, NAMED_BY, target_of
from .rivals import Rows, places, replaced, rivals_of

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
    shown = None if images is None else folder.names.image_set(images)
    sheet = read_sheet(Path(file).expanduser())
    adapter = choose(sheet, form)
    _check_method(adapter, method)
    targets = _targets(found, sheet, adapter, module)
    said = read(sheet, adapter, targets, base)
    tables = rows_of(said)
    identity = {
        "file": sheet.sha256,
        "adapter": [adapter.name, adapter.version],
        "target": target_of(found),
        "modules": {str(layer or ""): target.module for layer, target in targets.items()},
        "method": method,
        "base": adapter.base if base is None else base,
        "images": None if shown is None else shown.all_contents,
    }
    key = digest.of_facts(identity)[:DIGITS]
    there = folder.imports.is_whole(key)
    since = replaced(folder.imports.every(but=key)).get(key)
    main = tables[adapter.kind]
    taking = [] if there else _taking(folder, key, {**identity, "kind": adapter.kind}, main, since)
    if not (there or preview) and since and key not in folder.imports.listed():
        raise NameTaken(
            f"import {key} was removed, and import {since} had taken its place: belvedere remove import "
            f"{since} first, and then import it again"
        )
    facts = {
        **identity,
        "source": os.fsencode(sheet.path.name).decode(errors="replace"),
        "kind": adapter.kind,
        "model": model,
        "image_set": images,
        "rows_ok": len(said.said),
        "rows_rejected": len(said.rejects),
        "left": said.left,
        "note": note,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "replaces": taking,
    }
    written = not (preview or there) and _keep(folder, key, facts, tables, replace=replace)
    return ImportedLabels(
        import_id=key,
        format=f"{adapter.name} {adapter.version}",
        kind=adapter.kind,
        table=NAMED_BY[adapter.kind],
        written=written,
        there=there or not (preview or written),
        rows_ok=len(said.said),
        rejects=tuple(said.rejects),
        left=said.left,
        ignored=tuple(adapter.ignored(sheet.columns)),
        rows=len(main),
        first=tuple(main[:FIRST]),
        replaces=tuple(taking),
        replaced_by=since,
    )


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


def _taking(folder: Folder, key: str, facts: Mapping[str, Any], rows: Rows, since: str | None) -> list[str]:
    """List the imports whose place this one takes; one that is mended takes those that it took before."""
    try:
        return list(folder.imports.read(key).facts["replaces"])
    except UnknownName:
        return places(rivals_of(folder, key, facts, rows))
    except DamagedObject:
        return [] if since else places(rivals_of(folder, key, facts, rows))


def _keep(
    folder: Folder, key: str, facts: Mapping[str, Any], tables: Mapping[str, Rows], *, replace: bool
) -> bool:
    """Write an import; False where another process was first, `NameTaken` where it may not take a place."""
    if not folder.writable:
        raise ReadOnlyStore('the store was opened with mode="r"; open it with mode="a" to import into it')
    mends = key in folder.imports.listed()
    if facts["replaces"] and not (replace or mends):
        raise _taken(facts, facts["replaces"])
    data = {name: encoded(name, rows) for name, rows in tables.items() if rows}
    if not folder.imports.put(key, facts, data):
        return False
    rivals = [each.key for each in rivals_of(folder, key, facts, tables[facts["kind"]])]
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
